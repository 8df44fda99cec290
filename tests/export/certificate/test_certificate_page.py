"""The certificate as a page of its own."""

import json
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

from keras_ternary_spike.export import certify
from keras_ternary_spike.export.tflite.flatbuffer import read, write


class Tags(HTMLParser):
    """Collects what a page opens, closes and refers to."""

    def __init__(self, page):
        super().__init__()
        self.open, self.references, self.balanced = [], [], True
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere(certificate):
    page = certificate.to_html()
    tags = Tags(page)
    assert tags.balanced and not tags.open
    assert tags.references == []
    assert "://" not in page and "<script" not in page and "@import" not in page and "url(" not in page


def test_the_page_says_what_was_found(certificate):
    page = certificate.to_html()
    assert "EXACT" in page and "NOT EXACT" not in page and "not proven" not in page
    for text in ("lif_0", "65,536 pairs of state and current, 2 timesteps", certificate.sha256, "12 samples"):
        assert text in page


def test_the_page_says_when_something_is_wrong(certificate):
    failing = replace(certificate.proofs[1], wrong=7)
    page = replace(certificate, proofs=(certificate.proofs[0], failing, certificate.proofs[2])).to_html()
    assert "NOT EXACT" in page
    assert "2 of 3 spiking layers" in page
    assert "<td class=bad>not proven</td>" in page


def test_the_page_names_file_and_date_and_says_at_its_top_what_exact_means(certificate):
    page = replace(certificate, file="kws<1>.tflite", date="2031-02-03").to_html()
    for row in ("File</td><td>kws&lt;1&gt;.tflite", "Date</td><td>2031-02-03"):
        assert row in page
    assert page.index("Exact means:") < page.index("<h2>")
    assert datetime.fromisoformat(certificate.date).year >= 2024


def test_names_cannot_break_the_page(tflite_bytes, samples):
    named = certify(None, write(replace(read(tflite_bytes), name="<b>&\x1b[31m\a\u202e")), samples)
    page = named.to_html()
    assert r"<title>&lt;b&gt;&amp;\x1b[31m\x07\u202e: certificate</title>" in page
    assert all(letter.isprintable() or letter == "\n" for letter in page + named.to_json())
    assert json.loads(named.to_json())["report"]["name"] == "<b>&\x1b[31m\a\u202e"


def test_the_estimate_for_an_ethos_u_is_on_the_page(tflite_bytes, samples):
    found = certify(None, tflite_bytes, samples[:1], target="ethos-u55-128")
    assert found.target.accepted
    assert f"{found.target.facts['cycles']:,}" in found.to_html()
    assert found.to_dict()["target"]["facts"]["cpu_operators"] == 0
