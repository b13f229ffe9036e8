SIMULATION_REPORT = [f"{RESULTS}/{file}" for file in expected_outputs("simulation")]
MISLABEL_REPORT = [
    f"{RESULTS}/{file}"
    for file in expected_outputs("mislabel", pairs=[(t, m) for t in MISLABEL["tasks"] for m in MISLABEL["models"]])
]
SELECTION_REPORTS = {
    study: [
        f"{RESULTS}/{file}"
        for file in expected_outputs(
            "selection",
            study=study,
            cells=[
                (task, model, setting)
                for task in config[study]["tasks"]
                for model in config[study]["models"]
                for setting in settings_of(study)
            ],
            methods=sheet_methods(study),
        )
    ]
    for study in SELECTION
}
REPORTS = {
    **({"simulation": SIMULATION_REPORT} if "simulation" in STUDIES else {}),
    **({"mislabel": MISLABEL_REPORT} if "mislabel" in STUDIES else {}),
    **SELECTION_REPORTS,
}
PAGE_TABLES = [f"{RESULTS}/{file}" for file in expected_outputs("page")]
REPORTING = code_hash(
    "hyperinf.reporting",
    data=["hyperinf/reporting/published/*.csv", "hyperinf/reporting/templates/*"],
)


rule report_simulation:
    input:
        convergence=expand(
            f"{RESULTS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.csv",
            dim=SIMULATION["dims"],
            seed=SIMULATION["seeds"],
        ),
        fisher=rules.simulation_fisher.output,
        timing=rules.simulation_timing.output,
    output:
        *shown_in_report(SIMULATION_REPORT, "Synthetic study"),
    log:
        f"{LOGS}/report/simulation.log",
    benchmark:
        f"{BENCHMARKS}/report/simulation.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
        gpu=0,
        share=1,
    params:
        fisher=lambda wildcards, input: Path(input.fisher[0]).parent,
        results=lambda wildcards, output: Path(output[0]).parent.parent,
        code=REPORTING,
    message:
        "Figures and tables of the synthetic study"
    shell:
        "python -m hyperinf report simulation --convergence {input.convergence:q} --fisher {params.fisher:q} "
        "--timing {input.timing:q} --out {params.results:q} > {log:q} 2>&1"


rule report_mislabel:
    input:
        metrics=mislabel_scores("metrics.csv"),
        curves=mislabel_scores("curves.csv"),
        cost=mislabel_scores("cost.csv"),
        info=mislabel_scores("info.json"),
    output:
        *shown_in_report(MISLABEL_REPORT, "Mislabel detection"),
    log:
        f"{LOGS}/report/mislabel.log",
    benchmark:
        f"{BENCHMARKS}/report/mislabel.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(20),
        gpu=0,
        share=1,
    params:
        settings=flags(epoch=MISLABEL["report_epoch"]),
        runs=lambda wildcards, input: [Path(file).parent for file in input.info],
        results=lambda wildcards, output: Path(output[0]).parent.parent,
        code=REPORTING,
    message:
        "Figures and tables of mislabel detection"
    shell:
        "python -m hyperinf report mislabel --runs {params.runs:q} {params.settings:q} --out {params.results:q} "
        "> {log:q} 2>&1"


for study in SELECTION:

    rule:
        name:
            f"report_{study}"
        input:
            metrics=selection_runs(study, "scores/metrics.csv"),
            cost=selection_runs(study, "scores/cost.csv"),
            info=selection_runs(study, "scores/info.json"),
            kept=[
                file
                for percent in [*config[study]["percent"], 100]
                for file in selection_runs(study, f"fraction-{percent}/metrics.csv")
            ],
            scores=sheet_scores(study),
            data=sheet_data(study),
        output:
            *shown_in_report(SELECTION_REPORTS[study], f"{study.upper()} data selection"),
        log:
            f"{LOGS}/report/{study}.log",
        benchmark:
            f"{BENCHMARKS}/report/{study}.tsv"
        conda:
            "../../envs/hyperinf.yaml"
        threads: 1
        resources:
            mem_mb=grows(2000),
            runtime=grows(20),
            gpu=0,
            share=1,
        params:
            study=study,
            runs=lambda wildcards, input: [Path(file).parent.parent for file in input.info],
            percent=flags(percent=[*config[study]["percent"], 100]),
            methods=flags(methods=sheet_methods(study)),
            data=lambda wildcards, input: flags(data=[Path(file).parent for file in input.data]),
            results=lambda wildcards, output: Path(output[0]).parent.parent,
            code=REPORTING,
        message:
            "Figures and tables of the selection study"
        shell:
            "python -m hyperinf report selection --study {params.study} --runs {params.runs:q} {params.percent:q} "
            "{params.data:q} {params.methods:q} --out {params.results:q} > {log:q} 2>&1"


rule report_page:
    input:
        list(REPORTS.values()),
    output:
        *shown_in_report(PAGE_TABLES, "Claims"),
        page=f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report/page.log",
    benchmark:
        f"{BENCHMARKS}/report/page.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
        gpu=0,
        share=1,
    params:
        results=lambda wildcards, output: Path(output.page).parent,
        code=REPORTING,
    message:
        "The claims ledger and the HTML page"
    shell:
        "python -m hyperinf report page --results {params.results:q} --out {output.page:q} > {log:q} 2>&1"
