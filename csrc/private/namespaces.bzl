"""Build settings for the namespaces that the operators are registered in."""

_NamespaceInfo = provider("A namespace.", fields = {"value": "An identifier of C++ and Python."})

def _namespace_flag_impl(ctx):
    value = ctx.build_setting_value
    head = value[:1]
    if not (head.isalpha() or head == "_") or not value.replace("_", "a").isalnum():
        fail("%s: %r is no identifier of C++ and Python" % (ctx.label, value))
    return _NamespaceInfo(value = value)

namespace_flag = rule(
    implementation = _namespace_flag_impl,
    build_setting = config.string(flag = True),
    doc = "The name of a torch.ops namespace.",
)

def _namespace_defines_impl(ctx):
    defines = [
        "STABLEKV_NAMESPACE=" + ctx.attr.namespace[_NamespaceInfo].value,
        "STABLEKV_CACHE_NAMESPACE=" + ctx.attr.cache_namespace[_NamespaceInfo].value,
    ]
    return CcInfo(
        compilation_context = cc_common.create_compilation_context(defines = depset(defines)),
    )

namespace_defines = rule(
    implementation = _namespace_defines_impl,
    doc = "Defines STABLEKV_NAMESPACE and STABLEKV_CACHE_NAMESPACE for targets that depend on it.",
    attrs = {
        "cache_namespace": attr.label(
            doc = "The namespace of the cache operators.",
            mandatory = True,
            providers = [_NamespaceInfo],
        ),
        "namespace": attr.label(
            doc = "The namespace of the attention operators.",
            mandatory = True,
            providers = [_NamespaceInfo],
        ),
    },
    provides = [CcInfo],
)
