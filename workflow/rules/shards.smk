# Scoring in shards, where `runtime.shards` of a study is above 1: sums over each shard are added, solved, and scores
# gathered by the rule score. What is passed from step to step is as large as the GFIM of all layers, and goes when it
# has been used.
SHARDS = f"{RESULTS}/{RUN}/shards-{{total}}/{{checkpoint}}"
SHARD_LOGS = f"{LOGS}/{RUN}/shards-{{total}}/{{checkpoint}}"
SHARD_BENCHMARKS = f"{BENCHMARKS}/{RUN}/shards-{{total}}/{{checkpoint}}"


rule shard_target:
    input:
        model=JOBS.model_files,
        validation=f"{DATA}/validation.parquet",
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
    output:
        target=temp(f"{SHARDS}/target.safetensors"),
    log:
        f"{SHARD_LOGS}/target.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/target.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=6000, runtime=120, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        gradients=JOBS.batched,
    params:
        settings=lambda wildcards: PLAN.shard_target(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: JOBS.scoring_code(wildcards, SHARDING),
    message:
        "Mean gradient of the validation set of {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard target --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} {resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.target:q} > {log:q} 2>&1"


rule shard_statistics:
    input:
        model=JOBS.model_files,
        train=f"{DATA}/train.parquet",
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
    output:
        part=temp(f"{SHARDS}/statistics-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/statistics-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/statistics-{{shard}}.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=8000, runtime=240, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        gradients=JOBS.batched,
    params:
        settings=lambda wildcards: PLAN.shard(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: JOBS.scoring_code(wildcards, SHARDING),
    message:
        "Sum the statistics of shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard statistics --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} --shard {wildcards.shard} --shards {wildcards.total} "
        "{resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.part:q} > {log:q} 2>&1"


rule shard_sums:
    input:
        model=JOBS.model_files,
        train=f"{DATA}/train.parquet",
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
        target=f"{SHARDS}/target.safetensors",
        statistics=f"{SHARDS}/statistics.safetensors",
        sums=JOBS.sums_before,
    output:
        part=temp(f"{SHARDS}/sums-{{round}}-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/sums-{{round}}-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/sums-{{round}}-{{shard}}.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=8000, runtime=240, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        gradients=JOBS.batched,
    params:
        settings=lambda wildcards: PLAN.shard(**wildcards).canonical(),
        sums=lambda wildcards, input: some("--sums", input.sums),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: JOBS.scoring_code(wildcards, SHARDING),
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
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=8000, runtime=60, gpu=0),
    params:
        what=lambda wildcards: wildcards.summed.partition("-")[0],
        code=code_hash(SHARDING),
    message:
        "Add the {wildcards.summed} of {wildcards.total} shards, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard add --what {params.what} --parts {input.parts:q} --out {output.whole:q} > {log:q} 2>&1"


rule shard_solve:
    input:
        target=f"{SHARDS}/target.safetensors",
        statistics=f"{SHARDS}/statistics.safetensors",
        sums=JOBS.sums_before,
    output:
        products=temp(f"{SHARDS}/products.safetensors"),
    log:
        f"{SHARD_LOGS}/products.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/products.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=8000, runtime=240, gpu=JOBS.gpus()),
        device=JOBS.device,
    params:
        settings=lambda wildcards: PLAN.solve(wildcards.study).canonical(),
        sums=lambda wildcards, input: some("--sums", input.sums),
        code=JOBS.solve_code,
    message:
        "Invert the curvature by every method, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard solve --config {params.settings:q} --target {input.target:q} "
        "--statistics {input.statistics:q} {params.sums:q} {resources.device} --threads {threads} --out {output.products:q} > {log:q} 2>&1"


rule shard_scores:
    input:
        model=JOBS.model_files,
        train=f"{DATA}/train.parquet",
        info=f"{DATA}/info.json",
        finetuned=JOBS.finetuned,
        products=f"{SHARDS}/products.safetensors",
    output:
        part=temp(f"{SHARDS}/scores-{{shard}}.safetensors"),
    log:
        f"{SHARD_LOGS}/scores-{{shard}}.log",
    benchmark:
        f"{SHARD_BENCHMARKS}/scores-{{shard}}.tsv"
    priority: JOBS.priority
    conda:
        "../../envs/hyperinf.yaml"
    threads: JOBS.threads
    resources:
        **asked(mem_mb=8000, runtime=240, gpu=JOBS.gpus()),
        device=JOBS.device,
        cache=JOBS.cache,
        gradients=JOBS.batched,
    params:
        settings=lambda wildcards: PLAN.shard(**wildcards).canonical(),
        data=lambda wildcards, input: Path(input.info).parent,
        code=lambda wildcards: JOBS.scoring_code(wildcards, SHARDING),
    message:
        "Score shard {wildcards.shard} of {wildcards.total}, {wildcards.task}, {wildcards.setting}, seed {wildcards.seed}, {wildcards.checkpoint}"
    shell:
        "python -m hyperinf shard scores --config {params.settings:q} --data {params.data:q} "
        "--finetuned {input.finetuned:q} --shard {wildcards.shard} --shards {wildcards.total} "
        "--products {input.products:q} {resources.gradients} {resources.cache} {resources.device} --threads {threads} "
        "--out {output.part:q} > {log:q} 2>&1"
