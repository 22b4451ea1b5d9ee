"""A CUDA toolkit of hash-pinned wheels, merged into one tree."""

load("//third_party/python:fetch_failed.bzl", "fail_fetch")
load("//third_party/python:interpreter.bzl", "find_python")

def _cuda_repository_impl(repository_ctx):
    if repository_ctx.os.arch not in ["amd64", "x86_64"]:
        fail("The locked CUDA wheels are for x86-64, and this machine is %s. " % (
            repository_ctx.os.arch
        ) + "Build without CUDA: --%s=false." % Label("//tools/cuda:enable"))
    python = find_python(repository_ctx)
    for file in [repository_ctx.attr.lock, repository_ctx.attr._fetch, repository_ctx.attr._toolkit]:
        repository_ctx.watch(file)
    repository_ctx.report_progress("fetching the CUDA wheels with pip")
    result = repository_ctx.execute(
        [
            python,
            "-B",
            "-I",
            repository_ctx.path(repository_ctx.attr._fetch),
            "--title=" + repository_ctx.name,
            "--lock=%s" % repository_ctx.path(repository_ctx.attr.lock),
            "--site=site",
            "--merge",
        ],
        timeout = 3600,
        quiet = False,
    )
    if result.return_code != 0:
        fail_fetch(repository_ctx, "wheels")
    nvidia = repository_ctx.path("site/nvidia")
    roots = nvidia.readdir() if nvidia.exists else []
    if not roots:
        fail("%s: none of the wheels is NVIDIA's (nothing under nvidia/), wanted those of one CUDA release" % (
            repository_ctx.attr.lock
        ))
    if len(roots) != 1:
        fail("%s: the wheels make %d trees under nvidia/, wanted one: %s" % (
            repository_ctx.attr.lock,
            len(roots),
            ", ".join([root.basename for root in roots]),
        ))
    for folder in ["bin", "include", "lib", "nvvm"]:
        repository_ctx.symlink(roots[0].get_child(folder), folder)
    chmod = repository_ctx.execute(["sh", "-c", "chmod +x bin/* nvvm/bin/*"])
    if chmod.return_code != 0:
        fail("chmod: " + chmod.stderr)
    described = repository_ctx.execute(
        [python, "-B", "-I", repository_ctx.path(repository_ctx.attr._toolkit), repository_ctx.path(".")],
    )
    if described.return_code != 0:
        fail("%s: the wheels of %s make no CUDA toolkit that works here: %s" % (
            repository_ctx.name,
            repository_ctx.attr.lock,
            described.stderr.strip(),
        ))
    toolkit = json.decode(described.stdout)
    repository_ctx.template(
        "BUILD.bazel",
        repository_ctx.attr._build,
        {
            "%{definitions}": str(Label("//tools/cuda:defs.bzl")),
            "%{newest_gcc}": str(toolkit["newest_gcc"]),
            "%{version}": toolkit["version"],
            "[\"%{archs}\"]": repr(toolkit["archs"]),
        },
        executable = False,
    )

cuda_repository = repository_rule(
    implementation = _cuda_repository_impl,
    doc = """Makes a CUDA toolkit of NVIDIA's wheels, `:toolchain`: nvcc, headers, the static runtime.

Nothing of a toolkit installed on the machine is used or looked for.""",
    attrs = {
        "lock": attr.label(
            allow_single_file = True,
            doc = "A requirements file of the wheels of one CUDA release, pinned by sha256.",
            mandatory = True,
        ),
        "_build": attr.label(
            default = Label("//third_party/cuda/private:BUILD.cuda.bazel"),
            doc = "The repository's BUILD file, less what the toolkit says of itself.",
        ),
        "_fetch": attr.label(
            default = Label("//third_party/python/private:fetch.py"),
            doc = "The program that asks pip.",
        ),
        "_toolkit": attr.label(
            default = Label("//third_party/cuda/private:toolkit.py"),
            doc = "The program that asks nvcc what it is.",
        ),
    },
    # Not those that say where pip and the wheels are: the hashes say what they are.
    environ = ["STABLEKV_PYTHON"],
)
