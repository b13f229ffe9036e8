rule detect:
    input:
        finetuned=JOBS.finetuned,
        scores=JOBS.scores,
    output:
        metrics=f"{RESULTS}/{RUN}/detection/metrics.csv",
        curves=f"{RESULTS}/{RUN}/detection/curves.csv",
        info=f"{RESULTS}/{RUN}/detection/info.json",
    log:
        f"{LOGS}/{RUN}/detection.log",
    benchmark:
        f"{BENCHMARKS}/{RUN}/detection.tsv"
    wildcard_constraints:
        study=one_of(name for name, study in STUDIES.items() if study.detection),
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=2000, runtime=20, gpu=0),
    params:
        scores=lambda wildcards, input: [Path(file).parent for file in input.scores],
        folder=lambda wildcards, output: Path(output.info).parent,
        code=code_hash("hyperinf.pipeline.detect"),
    message:
        "See who finds the harmed samples of {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}"
    shell:
        "python -m hyperinf detect --finetuned {input.finetuned:q} --scores {params.scores:q} --out {params.folder:q} "
        "> {log:q} 2>&1"
