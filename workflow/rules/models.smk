ALIGNED = f"{RESULTS}/aligned/{{model}}"


# Made once: a GGUF file takes twenty seconds to read, the folder that is written here a tenth of one.
rule model_prepare:
    input:
        source=lambda wildcards: source_files(config["models"][wildcards.model]["source"]),
    output:
        folder=directory(f"{RESULTS}/models/{{model}}"),
    log:
        f"{LOGS}/models/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
        gpu=0,
        share=1,
        cache=CACHE,
    params:
        settings=lambda wildcards: flags(
            source=source_name(config["models"][wildcards.model]["source"]),
            layers=config["models"][wildcards.model]["layers"],
        ),
        code=code_hash("hyperinf.models.causal"),
    message:
        "Write {wildcards.model} as a plain folder"
    shell:
        "python -m hyperinf model prepare {params.settings:q} --cache {resources.cache:q} --out {output.folder:q} "
        "> {log:q} 2>&1"


rule align_data:
    input:
        source=lambda wildcards: source_files(align_questions(wildcards.model)["source"]),
    output:
        pool=f"{ALIGNED}/data/pool.parquet",
        validation=f"{ALIGNED}/data/validation.parquet",
        test=f"{ALIGNED}/data/test.parquet",
        info=f"{ALIGNED}/data/info.json",
    log:
        f"{LOGS}/aligned/{{model}}/data.log",
    benchmark:
        f"{BENCHMARKS}/aligned/{{model}}/data.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(60),
        gpu=0,
        share=1,
        cache=CACHE,
    params:
        settings=lambda wildcards: [
            *question_source(align_questions(wildcards.model)),
            # Nothing is chosen on the validation questions of an alignment, but a task has to have one.
            *flags(validation=1, **{key: align_settings(wildcards.model)[key] for key in ("pool", "test", "seed")}),
        ],
        folder=lambda wildcards, output: Path(output.info).parent,
        code=code_hash("hyperinf.data.questions", data=["hyperinf/data/prompts.yaml"]),
    message:
        "Draw the captions that {wildcards.model} is aligned on"
    shell:
        "python -m hyperinf select data {params.settings:q} --cache {resources.cache:q} --out {params.folder:q} "
        "> {log:q} 2>&1"


# The folder `model.state` is no output: Snakemake would remove it from a killed job, and training goes on from it.
rule align:
    input:
        model=lambda wildcards: unaligned_files(wildcards.model),
        pool=f"{ALIGNED}/data/pool.parquet",
        test=f"{ALIGNED}/data/test.parquet",
        info=f"{ALIGNED}/data/info.json",
    output:
        folder=directory(f"{ALIGNED}/model"),
    log:
        f"{LOGS}/aligned/{{model}}/align.log",
    benchmark:
        f"{BENCHMARKS}/aligned/{{model}}/align.tsv"
    # A whole study waits for it.
    priority: 1
    conda:
        "../../envs/hyperinf.yaml"
    threads: config["vlm"]["threads"]
    resources:
        mem_mb=grows(6000),
        runtime=grows(480),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
    params:
        model=lambda wildcards: flags(model=unaligned_source(wildcards.model)),
        settings=lambda wildcards: flags(
            **{
                key: value
                for key, value in align_settings(wildcards.model).items()
                if key not in ("data", "pool", "test")
            }
        ),
        data=lambda wildcards, input: Path(input.info).parent,
        state=lambda wildcards, output: f"{output.folder}.state",
        code=code_hash("hyperinf.pipeline.selection.align"),
    message:
        "Align {wildcards.model}"
    shell:
        "python -m hyperinf select align --data {params.data:q} {params.model:q} {params.settings:q} "
        "--cache {resources.cache:q} --device {resources.device:q} --threads {threads} "
        "--state {params.state:q} --out {output.folder:q} > {log:q} 2>&1"
