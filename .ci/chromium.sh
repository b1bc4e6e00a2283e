# Sourced by bash: installs Debian's Chromium where there is none and hands its path to the tests.

if ! command -v chromium >/dev/null; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium
fi
BAYESCAL_TEST_CHROMIUM=$(command -v chromium)
export BAYESCAL_TEST_CHROMIUM
