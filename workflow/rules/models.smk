ALIGNED = f"{RESULTS}/aligned/{{model}}"


# Made once: a GGUF file takes twenty seconds to read, the folder that is written here a tenth of one.
rule prepare_model:
    input:
        source=lambda wildcards: JOBS.source_files(EXPERIMENT.models[wildcards.model].source),
    output:
        folder=directory(f"{RESULTS}/models/{{model}}"),
    log:
        f"{LOGS}/models/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(name for name, model in EXPERIMENT.models.items() if model.is_prepared),
    # Quick, and studies wait for it.
    priority: 2
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=4000, runtime=60, gpu=0),
        cache=JOBS.cache,
    params:
        settings=lambda wildcards: PLAN.prepare_model(wildcards.model).canonical(),
        code=code_hash("hyperinf.pipeline.prepare_model"),
    message:
        "Write {wildcards.model} as a plain folder"
    shell:
        "python -m hyperinf prepare-model --config {params.settings:q} {resources.cache} --out {output.folder:q} "
        "> {log:q} 2>&1"


rule align_data:
    input:
        source=lambda wildcards: JOBS.source_files(JOBS.captions_of(wildcards).source),
    output:
        splits=[f"{ALIGNED}/data/{split}.parquet" for split in SPLITS],
        info=f"{ALIGNED}/data/info.json",
    log:
        f"{LOGS}/aligned/{{model}}/data.log",
    benchmark:
        f"{BENCHMARKS}/aligned/{{model}}/data.tsv"
    wildcard_constraints:
        model=one_of(name for name, model in EXPERIMENT.models.items() if model.align),
    # Quick, and studies wait for it.
    priority: 2
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=2000, runtime=60, gpu=0),
        cache=JOBS.cache,
    params:
        settings=lambda wildcards: PLAN.align_data(wildcards.model).canonical(),
        folder=lambda wildcards, output: Path(output.info).parent,
        code=lambda wildcards: JOBS.data_code(JOBS.captions_of(wildcards)),
    message:
        "Draw the captions that {wildcards.model} is aligned on"
    shell:
        "python -m hyperinf prepare --config {params.settings:q} {resources.cache} --out {params.folder:q} > {log:q} 2>&1"


# The folder `model.state` is no output: Snakemake would remove it from a killed job, and training goes on from it.
rule align:
    input:
        model=lambda wildcards: JOBS.unaligned_files(wildcards.model),
        splits=[f"{ALIGNED}/data/{split}.parquet" for split in SPLITS],
        info=f"{ALIGNED}/data/info.json",
    output:
        folder=directory(f"{ALIGNED}/model"),
    log:
        f"{LOGS}/aligned/{{model}}/align.log",
    benchmark:
        f"{BENCHMARKS}/aligned/{{model}}/align.tsv"
    wildcard_constraints:
        model=one_of(name for name, model in EXPERIMENT.models.items() if model.align),
    # A whole study waits for it.
    priority: 1
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.align_threads
    resources:
        **asked(mem_mb=6000, runtime=480, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
    params:
        settings=lambda wildcards: PLAN.align(wildcards.model).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        state=lambda wildcards, output: f"{output.folder}.state",
        code=JOBS.align_code(),
    message:
        "Align {wildcards.model}"
    shell:
        "python -m hyperinf align --config {params.settings:q} --data {params.data:q} {resources.cache} "
        "{resources.device} --threads {threads} --state {params.state:q} --out {output.folder:q} > {log:q} 2>&1"
