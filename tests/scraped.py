"""Metrics as Prometheus reads them: by the library's own parsers."""

from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, float]


def samples(text: str, parse: Callable[[str], Iterable[Metric]] = text_string_to_metric_families) -> Samples:
    """Give each sample's value by its name and labels: `minuted_stage_up stage=capture`."""
    found: Samples = {}
    for family in parse(text):
        assert family.documentation, f"{family.name} has no HELP"
        assert family.type in ("gauge", "counter"), f"{family.name} has no TYPE"
        for sample in family.samples:
            labels = [f"{name}={value}" for name, value in sorted(sample.labels.items()) if value]
            name = " ".join([sample.name, *labels])
            assert name not in found, f"{name} is there twice"
            found[name] = sample.value
    return found
