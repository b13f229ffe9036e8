from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/assets.smk"
include: "workflow/rules/simulation.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/detect.smk"
include: "workflow/rules/select.smk"


# Fetching needs the network, which the nodes of a cluster seldom have.
localrules:
    all,
    asset_record,


rule all:
    default_target: True
    input:
        [f for s in STUDIES for f in runs(s, "detection/metrics.csv")],
        [f for s, x in STUDIES.items() if x.selection for f in runs(s, "fraction-0.2/metrics.csv")],
