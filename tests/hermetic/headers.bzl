"""What the compiles of a target and of all below it have read, by the compilers' own lists."""

_HeadersInfo = provider(
    "Lists of headers.",
    fields = {"lists": "A depset of files in make's form."},
)

def _headers_aspect_impl(target, ctx):
    lists = [
        output
        for action in target.actions
        if action.mnemonic == "CppCompile"
        for output in action.outputs.to_list()
        if output.extension == "d"
    ]
    below = []
    for name in ["deps", "srcs"]:
        attribute = getattr(ctx.rule.attr, name, None) or []
        below += [dep[_HeadersInfo].lists for dep in attribute if _HeadersInfo in dep]
    if OutputGroupInfo in target and hasattr(target[OutputGroupInfo], "headers"):
        below.append(target[OutputGroupInfo].headers)
    return [_HeadersInfo(lists = depset(lists, transitive = below))]

_headers_aspect = aspect(
    implementation = _headers_aspect_impl,
    attr_aspects = ["deps", "srcs"],
    doc = "Collects the lists of C++ and CUDA compiles.",
)

def _header_lists_impl(ctx):
    lists = depset(transitive = [target[_HeadersInfo].lists for target in ctx.attr.targets])
    return [DefaultInfo(files = lists, runfiles = ctx.runfiles(transitive_files = lists))]

header_lists = rule(
    implementation = _header_lists_impl,
    doc = "The lists of headers of all compiles that make `targets`.",
    attrs = {
        "targets": attr.label_list(
            aspects = [_headers_aspect],
            doc = "C++ and CUDA targets.",
            mandatory = True,
        ),
    },
)
