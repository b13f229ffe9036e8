# The record is the output; the content stays in the cache, which several checkouts may share.
rule asset_record:
    output:
        f"{RESULTS}/assets/{{asset}}.json",
    log:
        f"{LOGS}/assets/{{asset}}.log",
    benchmark:
        f"{BENCHMARKS}/assets/{{asset}}.tsv"
    # Quick, and studies wait for it.
    priority: 2
    conda:
        "../../envs/hyperinf.yaml"
    threads: 1
    resources:
        **asked(mem_mb=500, runtime=30, gpu=0),
        cache=JOBS.cache,
        wheels=JOBS.wheels,
    params:
        code=code_hash("hyperinf.data.assets"),
    message:
        "Fetch and verify {wildcards.asset}"
    shell:
        "python -m hyperinf assets fetch {wildcards.asset:q} {resources.cache} {resources.wheels} "
        "--record {output:q} > {log:q} 2>&1"
