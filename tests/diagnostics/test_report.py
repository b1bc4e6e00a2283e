from html.parser import HTMLParser

import pytest

from bayescal.diagnostics.report import page, report
from bayescal.diagnostics.report.page import fact_text, provenance_rows
from bayescal.errors import InputError

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Strict(HTMLParser):
    """Reads a page, checks that its elements nest, and collects text, links and identities."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href", "xlink:href", "action", "data"}]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def written(nuts_result, map_result, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report(nuts_result, path, map_result)
    return path


@pytest.fixture(scope="module")
def read(written):
    parser = Strict()
    parser.feed(written.read_text())
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_needs_no_other_file(written, read):
    assert "http" not in written.read_text()
    assert "<script" not in written.read_text()
    assert read.links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in read.links)
    assert written.stat().st_size < 5_000_000


def test_identities_are_unique_and_links_lead_somewhere(read):
    assert len(read.ids) == len(set(read.ids))
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)


def test_verdict_comes_first(written):
    text = written.read_text()
    assert text.index("<h2>Converged</h2>") < text.index("<h2>Parameters</h2>")


def test_every_part_is_there(read):
    text = " ".join(" ".join(read.text).split())
    for words in ("kb", "long_diff", "electrons_per_mev", "event_time[2]", "(kV/cm)(g/cm²)/MeV", "R-hat", "ESS bulk"):
        assert words in text
    for heading in ("Mode and posterior", "Marginal distributions", "Pairs", "Correlations", "Traces", "Ranks"):
        assert heading in text
    for fact in ("bayescal fit study.toml", "Uniform(0.04, 0.07)", "versions.jax", "0.10.2", "4321"):
        assert fact in text
    assert "adc_histogram: p = " in text
    assert "kb and electrons_per_mev rise together" in text


def test_a_failed_fit_says_so(make_sampled):
    text = page(make_sampled(diverging=2, draws=40, checks=False))
    assert "Not converged: do not use these numbers" in text
    assert "posterior_predictive" in text


def test_a_mode_has_a_page(map_result):
    text = page(map_result)
    assert "The mode was found." in text
    assert 'id="traces"' not in text
    assert 'id="marginals"' in text


def test_a_parameter_that_does_not_move_has_a_page(make_sampled):
    result = make_sampled(draws=20)
    result.data["posterior"]["kb"].values[:] = 1.0
    assert "cannot be computed for kb" in page(result)


def test_one_parameter_has_a_page(make_sampled):
    result = make_sampled(draws=20, checks=False)
    result.data["posterior"] = type(result.data)(result.data["posterior"].to_dataset()[["kb"]])
    text = page(result)
    assert 'id="pairs"' in text
    assert 'id="correlations"' not in text


def test_text_from_outside_is_escaped(make_sampled):
    result = make_sampled(draws=20, checks=False)
    result.data.attrs["verdict"] = "<b>bold</b>"
    result.data.attrs["converged"] = 0
    result.data.attrs["provenance"] = '{"command": "<script>alert(1)</script>"}'
    assert "<script" not in page(result)


def test_facts_as_text():
    rows = dict(provenance_rows({"a": {"b": 1.23456789, "c": None}, "d": list(range(20))}))
    assert rows["a.b"] == "1.23457"
    assert rows["a.c"] == "none"
    assert rows["d"].endswith("… (20 in all)")
    assert fact_text(["x", 2]) == "x, 2"


def test_unwritable_output_is_one_sentence(tmp_path, map_result):
    with pytest.raises(InputError, match=r"nowhere/report.html: cannot be written"):
        report(map_result, tmp_path / "nowhere" / "report.html")
