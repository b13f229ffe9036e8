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
        mem_mb=4000,
        runtime=60,
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
