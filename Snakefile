from pathlib import Path

from snakemake.utils import min_version

# What `workflow/rules/run.smk` leans on is looked at again with each minor version; pyproject.toml names the last one.
min_version("9.27")


# From whatever folder it is run: an overlay alone would be another experiment.
configfile: "config.yaml" if Path("config.yaml").is_file() else f"{workflow.current_basedir}/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/run.smk"
include: "workflow/rules/assets.smk"
include: "workflow/rules/simulation.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/detect.smk"
include: "workflow/rules/select.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/whole.smk"


report: "workflow/report/workflow.rst"


# Fetching needs the network, which the nodes of a cluster seldom have.
localrules:
    all,
    asset_record,


rule all:
    default_target: True
    input:
        rules.report_page.output,
        *whole_run(),
    message:
        f"All results are in {RESULTS}"
