MISLABEL_DATA = f"{RESULTS}/mislabel/{{task}}/data/seed-{{seed}}"
MISLABEL_RUN = "mislabel/{task}/{model}/rank-{rank}/seed-{seed}"


rule mislabel_data:
    input:
        source=lambda wildcards: source_files(config["data"][wildcards.task]["source"]),
    output:
        train=f"{MISLABEL_DATA}/train.parquet",
        validation=f"{MISLABEL_DATA}/validation.parquet",
        test=f"{MISLABEL_DATA}/test.parquet",
        info=f"{MISLABEL_DATA}/info.json",
    log:
        f"{LOGS}/mislabel/{{task}}/data/seed-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/mislabel/{{task}}/data/seed-{{seed}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
        gpu=0,
        share=1,
        cache=CACHE,
    params:
        columns=lambda wildcards: data_flags(config["data"][wildcards.task]),
        settings=flags(
            train=MISLABEL["train"],
            validation=MISLABEL["validation"],
            test=MISLABEL["test"],
            noise_rate=MISLABEL["noise_rate"],
        ),
        folder=lambda wildcards, output: Path(output.info).parent,
        code=code_hash("hyperinf.data.text"),
    message:
        "Draw {wildcards.task} and flip labels, seed {wildcards.seed}"
    shell:
        "python -m hyperinf mislabel data {params.columns:q} {params.settings:q} --seed {wildcards.seed} "
        "--cache {resources.cache:q} --out {params.folder:q} > {log:q} 2>&1"


# The folder `state` is no output: Snakemake would remove it from a killed job, and training goes on from it.
rule mislabel_finetune:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        train=f"{MISLABEL_DATA}/train.parquet",
        validation=f"{MISLABEL_DATA}/validation.parquet",
        test=f"{MISLABEL_DATA}/test.parquet",
        info=f"{MISLABEL_DATA}/info.json",
    output:
        adapter=directory(f"{RESULTS}/{MISLABEL_RUN}/adapter"),
    log:
        f"{LOGS}/{MISLABEL_RUN}/finetune.log",
    benchmark:
        f"{BENCHMARKS}/{MISLABEL_RUN}/finetune.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: MISLABEL["threads"]
    resources:
        mem_mb=grows(6000),
        runtime=grows(240),
        gpu=launched_gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        launch=LAUNCH,
    params:
        model=lambda wildcards: [
            *flags(model=model_source(wildcards.model)),
            *lora_flags(wildcards.model, MISLABEL["lora"], int(wildcards.rank)),
        ],
        settings=flags(epochs=MISLABEL["epochs"], **MISLABEL["training"]),
        data=lambda wildcards, input: Path(input.info).parent,
        state=lambda wildcards, output: Path(output.adapter).with_name("state"),
        code=code_hash("hyperinf.pipeline.finetune"),
    message:
        "Fine-tune {wildcards.model} on {wildcards.task}, rank {wildcards.rank}, seed {wildcards.seed}"
    shell:
        "{resources.launch} hyperinf mislabel finetune --data {params.data:q} {params.model:q} {params.settings:q} "
        "--seed {wildcards.seed} --cache {resources.cache:q} --device {resources.device:q} --threads {threads} "
        "--state {params.state:q} --out {output.adapter:q} > {log:q} 2>&1"


rule mislabel_score:
    input:
        train=f"{MISLABEL_DATA}/train.parquet",
        validation=f"{MISLABEL_DATA}/validation.parquet",
        info=f"{MISLABEL_DATA}/info.json",
        adapter=f"{RESULTS}/{MISLABEL_RUN}/adapter",
    output:
        epochs=[f"{RESULTS}/{MISLABEL_RUN}/scores/epoch-{epoch}.parquet" for epoch in MISLABEL["epochs"]],
        metrics=f"{RESULTS}/{MISLABEL_RUN}/scores/metrics.csv",
        curves=f"{RESULTS}/{MISLABEL_RUN}/scores/curves.csv",
        cost=f"{RESULTS}/{MISLABEL_RUN}/scores/cost.csv",
        info=f"{RESULTS}/{MISLABEL_RUN}/scores/info.json",
    log:
        f"{LOGS}/{MISLABEL_RUN}/score.log",
    benchmark:
        f"{BENCHMARKS}/{MISLABEL_RUN}/score.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: MISLABEL["threads"]
    resources:
        mem_mb=grows(8000),
        runtime=grows(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=MISLABEL["gradients"]["store"],
        batch_size=MISLABEL["gradients"]["batch_size"],
    params:
        settings=flags(
            methods=MISLABEL["methods"],
            damping=MISLABEL["damping"],
            gfim_scale=MISLABEL["gfim_scale"],
            solver=MISLABEL["solver"],
            lissa_iterations=MISLABEL["lissa_iterations"],
        ),
        # An empty list of baselines is a choice, and must reach the command as such.
        baselines=["--baselines", *MISLABEL["baselines"]],
        data=lambda wildcards, input: Path(input.info).parent,
        folder=lambda wildcards, output: Path(output.info).parent,
        code=code_hash("hyperinf.pipeline.mislabel"),
    message:
        "Score {wildcards.task} with {wildcards.model}, rank {wildcards.rank}, seed {wildcards.seed}, all methods and epochs"
    shell:
        "python -m hyperinf mislabel score --data {params.data:q} --adapter {input.adapter:q} "
        "--task {wildcards.task:q} --model-name {wildcards.model:q} --seed {wildcards.seed} "
        "{params.settings:q} {params.baselines:q} "
        "--gradients {resources.gradients:q} --batch-size {resources.batch_size} --cache {resources.cache:q} "
        "--device {resources.device:q} --threads {threads} --out {params.folder:q} > {log:q} 2>&1"
