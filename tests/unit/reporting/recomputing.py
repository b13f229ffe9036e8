"""The rule of verdicts once more, in plain numpy: what a second reader would write."""

from functools import cache

import numpy as np

GRID = np.linspace(0, 400, 2_000_001)


@cache
def areas(degrees):
    """Student's distribution right of 0, by its density, summed."""
    density = (1 + GRID**2 / degrees) ** (-(degrees + 1) / 2)
    area = np.cumsum((density[1:] + density[:-1]) / 2)
    # beyond the grid the tail of degrees >= 2 is below 1e-5 of the whole
    return area / area[-1] / 2


def quantile(at, degrees):
    """Student's quantile."""
    return GRID[1:][np.searchsorted(0.5 + areas(degrees), at)]


def recomputed(frame, content):
    """Every primary verdict by plain numpy, from the ledger's CSV and the text of the rule."""

    def numbers(text):
        return {int(pair.split(":")[0]): float(pair.split(":")[1]) for pair in text.split()}

    def setting_verdict(row):
        values, margin = np.array(list(numbers(row["values"]).values())), content["margins"].get(row["metric"])
        if row["kind"] == "distance":
            near, far = content["distance"]
            return "supported" if values[0] <= near else "contradicted" if values[0] > far else "undecided"
        if len(values) < content["units"]:
            return "not tested"
        if row["kind"] == "count":
            return "supported" if values.min() > 0.5 else "contradicted" if values.max() < 0.5 else "undecided"
        return "degenerate" if not values.any() else by_interval(values, margin, content["level"], row["kind"])

    def by_interval(values, margin, level, kind):
        half = quantile(1 - level / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        mean = values.mean()
        if abs(mean) + half <= margin:
            return "supported" if kind == "equality" else "no difference that matters"
        if kind == "equality":
            return "undecided" if half >= abs(mean) else "contradicted"
        return "undecided" if half >= abs(mean) else "supported" if mean > 0 else "contradicted"

    own = frame.assign(verdict=[setting_verdict(row) for _, row in frame.iterrows()])
    assert own["verdict"].tolist() == frame["verdict"].tolist()
    found = {}
    for origin in ("published", "asked here"):
        differences = {}
        for (statement, kind), group in own[own["origin"] == origin].groupby(["statement", "kind"], sort=False):
            told = group[~group["verdict"].isin(["degenerate", "not tested"])]
            if told.empty:
                found[origin, statement] = group["verdict"].iloc[0]
                continue
            each = [numbers(text) for text in told["values"]]
            common = sorted(set.intersection(*map(set, each)))
            means = np.array([np.mean([one[seed] for one in each]) for seed in common])
            if kind in ("difference", "equality"):
                differences[statement] = means, content["margins"][group["metric"].iloc[0]], kind
            else:
                found[origin, statement] = setting_verdict(
                    {**group.iloc[0], "values": " ".join(f"{k}:{value}" for k, value in enumerate(means))}
                )
        left = dict(differences)
        while left:  # Holm: whichever can be decided at the strictest level of those left, again and again
            level = content["level"] / len(left)
            drawn = {name: by_interval(values, margin, level, kind) for name, (values, margin, kind) in left.items()}
            decided = [name for name, verdict in drawn.items() if verdict != "undecided"]
            for name in decided[:1]:
                found[origin, name] = drawn[name]
                del left[name]
            if not decided:
                found |= {(origin, name): "undecided" for name in left}
                break
    return found
