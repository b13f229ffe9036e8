from code_hash import ROOT

from hyperinf.reporting.manifest import expected, expected_page, expected_simulation

REPORTED = {name: expected(PLAN.shape(name)) for name in STUDIES}
if SIMULATION in EXPERIMENT.run:
    REPORTED = {SIMULATION: expected_simulation(), **REPORTED}
REPORTING = code_hash(
    "hyperinf.reporting.stages",
    *sorted(f"hyperinf.reporting.{path.stem}" for path in (ROOT / "hyperinf/reporting").glob("[!_]*.py")),
    "hyperinf.settings.methods",
    "hyperinf.settings.registers",
    "hyperinf.settings.reporting",
    "hyperinf.settings.solvers",
    data=["hyperinf/reporting/rule.yaml", "hyperinf/reporting/published/*.csv", "hyperinf/reporting/templates/*"],
)


rule report_simulation:
    input:
        convergence=expand(
            f"{RESULTS}/simulation/convergence/dim-{{dim}}_seed-{{seed}}.csv",
            dim=EXPERIMENT.simulation.dims,
            seed=EXPERIMENT.simulation.seeds,
        ),
        fisher=rules.simulation_fisher.output,
        timing=rules.simulation_timing.output,
    output:
        *shown(expected_simulation()),
    log:
        f"{LOGS}/report/simulation.log",
    benchmark:
        f"{BENCHMARKS}/report/simulation.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=2000, runtime=20, gpu=0),
    params:
        fisher=lambda wildcards, input: Path(input.fisher[0]).parent,
        out=lambda wildcards, output: Path(output[0]).parent.parent,
        code=REPORTING,
    message:
        "Figures and tables of the synthetic study"
    shell:
        "python -m hyperinf report simulation --convergence {input.convergence:q} --fisher {params.fisher:q} "
        "--timing {input.timing:q} --out {params.out:q} > {log:q} 2>&1"


for study in STUDIES:

    rule:
        name:
            f"report_{study}"
        input:
            JOBS.reported(study),
        output:
            *shown(REPORTED[study]),
        log:
            f"{LOGS}/report/{study}.log",
        benchmark:
            f"{BENCHMARKS}/report/{study}.tsv"
        conda:
            "../../envs/hyperinf.yaml"
        threads: 1
        resources:
            **asked(mem_mb=2000, runtime=20, gpu=0),
        params:
            settings=JOBS.report_settings(study),
            runs=[str(Path(file).parent) for file in JOBS.runs(study, "run")],
            out=lambda wildcards, output: Path(output[0]).parent.parent,
            code=REPORTING,
        message:
            f"Figures and tables of {study}"
        shell:
            "python -m hyperinf report study --config {params.settings:q} --runs {params.runs:q} "
            "--out {params.out:q} > {log:q} 2>&1"


rule report_page:
    input:
        [f"{RESULTS}/{file}" for entries in REPORTED.values() for entry in entries for file in entry.files],
    output:
        *shown(expected_page()),
        page=f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report/page.log",
    benchmark:
        f"{BENCHMARKS}/report/page.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=2000, runtime=10, gpu=0),
    params:
        studies=list(REPORTED),
        out=lambda wildcards, output: Path(output.page).parent,
        code=REPORTING,
    message:
        "The claims ledger and the HTML page"
    shell:
        "python -m hyperinf report page --results {params.out:q} --studies {params.studies:q} --out {output.page:q} "
        "> {log:q} 2>&1"
