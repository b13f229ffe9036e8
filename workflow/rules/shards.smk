# Scoring in shards, where `runtime.shards` of a study is above 1: sums over each shard are added, solved, and scores
# gathered by the rule score. What is passed from step to step is as large as the GFIM of all layers, and goes when it
# has been used.
SHARDS = f"{RESULTS}/{RUN}/shards-{{total}}/{{checkpoint}}"
SHARD_LOGS = f"{LOGS}/{RUN}/shards-{{total}}/{{checkpoint}}"
SHARD_BENCHMARKS = f"{BENCHMARKS}/{RUN}/shards-{{total}}/{{checkpoint}}"


def shards_of(wildcards):
    """Shards that a run is scored in; one that has been scored keeps its number, so that another reruns nothing."""
    record = Path(f"{SCORES}/shards".format(**wildcards))
    return int(record.read_text()) if record.is_file() else study_of(wildcards).runtime.shards


def shard_files(wildcards):
    """What a run's scores are gathered from; nothing where it is scored in one piece."""
    count = shards_of(wildcards)
    if count == 1:
        return []
    folder = SHARDS.format(total=count, **wildcards)
    return [f"{folder}/products.safetensors", *shards(f"{folder}/scores", count)]


def shards(stem, count):
    """A file for each shard."""
    return [f"{stem}-{shard}.safetensors" for shard in range(1, int(count) + 1)]


def sums_before(wildcards):
    """The sums of the rounds before a sweep; of all rounds where the wildcards name none."""
    rounds = study_of(wildcards).scoring.rounds()
    last = int(wildcards.round) - 1 if "round" in wildcards.keys() else rounds
    folder = SHARDS.format(**wildcards)
    return [f"{folder}/sums-{number}.safetensors" for number in range(1, last + 1)]


def sums_flags(files):
    """The sums as flags; none where there are none."""
    return ["--sums", *([files] if isinstance(files, str) else files)] if files else []


wildcard_constraints:
    total="[0-9]+",
    shard="[0-9]+",
    round="[0-9]+",
    summed="statistics|sums-[0-9]+",


rule shard_target:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        validation=f"{DATA}/validation.parquet",
        info=f"{DATA}/info.json",
        finetuned=finetuned,
    output:
        target=temp(f"{SHARDS}/target.safetensors"),
    log:
        f"{SHARD_LOGS}/target.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/target.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: threads_of
    resources:
        mem_mb=scaled_by_attempt(6000),
        runtime=scaled_by_attempt(120),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=batched,
    params:
        settings=lambda wildcards: PLAN.shard_target(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: scoring_code(wildcards, "hyperinf.pipeline.sharding.stages"),
    message:
        "Mean gradient of the validation set of {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard target --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} {resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.target:q} > {log:q} 2>&1"


rule shard_statistics:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        train=f"{DATA}/train.parquet",
        info=f"{DATA}/info.json",
        finetuned=finetuned,
    output:
        part=temp(f"{SHARDS}/statistics-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/statistics-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/statistics-{{shard}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: threads_of
    resources:
        mem_mb=scaled_by_attempt(8000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=batched,
    params:
        settings=lambda wildcards: PLAN.shard(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: scoring_code(wildcards, "hyperinf.pipeline.sharding.stages"),
    message:
        "Sum the statistics of shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard statistics --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} --shard {wildcards.shard} --shards {wildcards.total} "
        "{resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.part:q} > {log:q} 2>&1"


rule shard_sums:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        train=f"{DATA}/train.parquet",
        info=f"{DATA}/info.json",
        finetuned=finetuned,
        target=f"{SHARDS}/target.safetensors",
        statistics=f"{SHARDS}/statistics.safetensors",
        sums=sums_before,
    output:
        part=temp(f"{SHARDS}/sums-{{round}}-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/sums-{{round}}-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/sums-{{round}}-{{shard}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: threads_of
    resources:
        mem_mb=scaled_by_attempt(8000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=batched,
    params:
        settings=lambda wildcards: PLAN.shard(**wildcards).canonical(),
        sums=lambda wildcards, input: sums_flags(input.sums),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: scoring_code(wildcards, "hyperinf.pipeline.sharding.stages"),
    message:
        "Round {wildcards.round} of sums, shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard sums --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} --shard {wildcards.shard} --shards {wildcards.total} "
        "--target {input.target:q} --statistics {input.statistics:q} {params.sums:q} "
        "{resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.part:q} > {log:q} 2>&1"


rule shard_add:
    input:
        parts=lambda wildcards: shards(f"{SHARDS}/{wildcards.summed}".format(**wildcards), wildcards.total),
    output:
        whole=temp(f"{SHARDS}/{{summed}}.safetensors"),
    log:
        f"{SHARD_LOGS}/{{summed}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/{{summed}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        mem_mb=scaled_by_attempt(8000),
        runtime=scaled_by_attempt(60),
        gpu=0,
        share=1,
    params:
        what=lambda wildcards: wildcards.summed.partition("-")[0],
        code=code_hash("hyperinf.pipeline.sharding.steps"),
    message:
        "Add the {wildcards.summed} of {wildcards.total} shards, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard add --what {params.what} --parts {input.parts:q} --out {output.whole:q} > {log:q} 2>&1"


rule shard_solve:
    input:
        target=f"{SHARDS}/target.safetensors",
        statistics=f"{SHARDS}/statistics.safetensors",
        sums=sums_before,
    output:
        products=temp(f"{SHARDS}/products.safetensors"),
    log:
        f"{SHARD_LOGS}/products.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/products.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: threads_of
    resources:
        mem_mb=scaled_by_attempt(8000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
    params:
        settings=lambda wildcards: PLAN.solve(wildcards.study).canonical(),
        sums=lambda wildcards, input: sums_flags(input.sums),
        code=code_hash("hyperinf.pipeline.sharding.steps"),
    message:
        "Invert the curvature by every method, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard solve --config {params.settings:q} --target {input.target:q} "
        "--statistics {input.statistics:q} {params.sums:q} {resources.device} --threads {threads} --out {output.products:q} > {log:q} 2>&1"


rule shard_scores:
    input:
        model=lambda wildcards: model_files(wildcards.model),
        train=f"{DATA}/train.parquet",
        info=f"{DATA}/info.json",
        finetuned=finetuned,
        products=f"{SHARDS}/products.safetensors",
    output:
        part=temp(f"{SHARDS}/scores-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/scores-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/scores-{{shard}}.tsv"
    conda:
        "../../envs/hyperinf.yaml"
    threads: threads_of
    resources:
        mem_mb=scaled_by_attempt(8000),
        runtime=scaled_by_attempt(240),
        gpu=gpus(),
        share=1,
        device=DEVICE,
        cache=CACHE,
        gradients=batched,
    params:
        settings=lambda wildcards: PLAN.shard(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: scoring_code(wildcards, "hyperinf.pipeline.sharding.stages"),
    message:
        "Score shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard scores --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} --shard {wildcards.shard} --shards {wildcards.total} "
        "--products {input.products:q} {resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.part:q} > {log:q} 2>&1"
