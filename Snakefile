from snakemake.utils import min_version

# What `workflow/rules/run.smk` leans on is looked at again with each minor version; pyproject.toml names the last one.
min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/assets.smk"
include: "workflow/rules/simulation.smk"
include: "workflow/rules/mislabel.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


# Fetching needs the network, which the nodes of a cluster seldom have.
localrules:
    all,
    asset_record,


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
        list(REPORTS.values()),
        PAGE_TABLES,
    message:
        f"All results are in {RESULTS}"
