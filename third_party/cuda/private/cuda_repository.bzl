"""A CUDA toolkit of hash-pinned wheels, merged into one tree."""

load("//third_party/python:interpreter.bzl", "find_python")

# The newest GCC that nvcc 13.0 takes as its host compiler.
_NEWEST_GCC = 15
_OLDEST_GCC = 9

def _check_host_compiler(repository_ctx):
    compiler = repository_ctx.os.environ.get("CC", "gcc")
    path = compiler if "/" in compiler else repository_ctx.which(compiler)
    if not path:
        fail("No host C++ compiler: %s is not on PATH. Install gcc and g++, " % compiler +
             "or build without CUDA: --config=nocuda.")
    result = repository_ctx.execute([path, "-dumpversion"])
    major = result.stdout.strip().split(".")[0]
    if result.return_code != 0 or not major.isdigit():
        fail("%s -dumpversion does not print a version: %s" % (path, result.stderr.strip()))
    if "clang" in repository_ctx.execute([path, "--version"]).stdout:
        return
    if int(major) < _OLDEST_GCC or int(major) > _NEWEST_GCC:
        fail("nvcc takes GCC %d to %d as its host compiler, and %s is GCC %s. " % (
            _OLDEST_GCC,
            _NEWEST_GCC,
            path,
            major,
        ) + "Set CC to another one, or build without CUDA: --config=nocuda.")

def _cuda_repository_impl(repository_ctx):
    if repository_ctx.os.arch not in ["amd64", "x86_64"]:
        fail("The locked CUDA wheels are for x86-64, and this machine is %s. " % (
            repository_ctx.os.arch
        ) + "Build without CUDA: --config=nocuda.")
    _check_host_compiler(repository_ctx)
    python = find_python(repository_ctx)
    repository_ctx.report_progress("fetching the CUDA wheels with pip")
    result = repository_ctx.execute(
        [
            python,
            "-B",
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
        fail("%s: pip could not fetch the wheels of %s; its words are above." % (
            repository_ctx.name,
            repository_ctx.attr.lock,
        ))
    roots = [entry for entry in repository_ctx.path("site/nvidia").readdir()]
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
    repository_ctx.symlink(repository_ctx.attr._build, "BUILD.bazel")

cuda_repository = repository_rule(
    implementation = _cuda_repository_impl,
    doc = """Makes a CUDA toolkit of NVIDIA's wheels: nvcc, headers and the static runtime.

Nothing of a toolkit installed on the machine is used or looked for.""",
    attrs = {
        "lock": attr.label(
            allow_single_file = True,
            doc = "A requirements file of the wheels of one CUDA release, pinned by sha256.",
            mandatory = True,
        ),
        "_build": attr.label(default = Label("//third_party/cuda/private:BUILD.cuda.bazel")),
        "_fetch": attr.label(default = Label("//third_party/python/private:fetch.py")),
    },
    environ = ["CC", "STABLEKV_PIP", "STABLEKV_PYTHON", "STABLEKV_WHEELHOUSE"],
)
