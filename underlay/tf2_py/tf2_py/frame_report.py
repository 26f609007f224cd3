"""The tree of frames as text, for people and for `view_frames`."""

from collections.abc import Mapping

from tf2_py.cache import Cache, display

SHORTEST_SPAN_S = 1e-4  # a single transform reads as a rate of 10 kHz


def as_yaml(caches: Mapping[str, Cache], authorities: Mapping[str, str]) -> str:
    """One YAML mapping for every frame that has a parent now; `[]` where no frame is known."""
    if not caches:
        return "[]"
    return "".join(
        _frame_yaml(child, cache, authorities[child])
        for child, cache in caches.items()
        if cache.latest()
    )


def _frame_yaml(child: str, cache: Cache, authority: str) -> str:
    latest, oldest = cache.latest(), cache.oldest()
    span_s = (latest.stamp_ns - oldest.stamp_ns) * 1e-9
    return (
        f"{child}: \n"
        f"  parent: '{latest.parent}'\n"
        f"  broadcaster: '{authority}'\n"
        f"  rate: {len(cache) / max(span_s, SHORTEST_SPAN_S):.3f}\n"
        f"  most_recent_transform: {display(latest.stamp_ns)}\n"
        f"  oldest_transform: {display(oldest.stamp_ns)}\n"
        f"  buffer_length: {span_s:.3f}\n"
    )


def as_lines(caches: Mapping[str, Cache]) -> str:
    """One line for every frame; a frame whose history was cleared has no parent."""
    parents = {child: cache.latest() for child, cache in caches.items()}
    return "".join(
        f"Frame {child} exists with parent {edge.parent if edge else 'NO_PARENT'}.\n"
        for child, edge in parents.items()
    )
