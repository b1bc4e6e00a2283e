# Sourced by bash: starts a PostgreSQL server of its own in a temporary folder, installs Debian's where there is none,
# hands its URL to the tests as BAYESCAL_TEST_POSTGRESQL, and stops it when the shell leaves.

POSTGRESQL_HOME=$(mktemp -d /tmp/bayescal-postgresql.XXXXXX)

find_postgresql() { find /usr/lib/postgresql/*/bin -name pg_ctl -printf '%h\n' 2>/dev/null | sort -V | tail -n 1; }

# A server refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

stop_postgresql() {
    as_postgres "$POSTGRESQL_BIN/pg_ctl" --pgdata "$POSTGRESQL_HOME/data" --mode immediate stop >/dev/null || true
    rm -rf "$POSTGRESQL_HOME"
}

if [ -z "$(find_postgresql)" ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql
fi
POSTGRESQL_BIN=$(find_postgresql)
if [ "$(id -u)" = 0 ]; then chown postgres: "$POSTGRESQL_HOME"; fi
trap stop_postgresql EXIT
as_postgres "$POSTGRESQL_BIN/initdb" --pgdata "$POSTGRESQL_HOME/data" --username postgres --auth trust --encoding UTF8 \
    --no-sync >/dev/null
# No port: only a socket in the folder, which is closed to others.
as_postgres "$POSTGRESQL_BIN/pg_ctl" --pgdata "$POSTGRESQL_HOME/data" --log "$POSTGRESQL_HOME/log" --wait --silent \
    --options "-c listen_addresses='' -c unix_socket_directories=$POSTGRESQL_HOME -c fsync=off" start
export BAYESCAL_TEST_POSTGRESQL="postgresql://postgres@/postgres?host=$POSTGRESQL_HOME"
