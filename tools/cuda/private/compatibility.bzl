"""What makes a target one that a build without CUDA skips."""

NEEDS_CUDA = select({
    Label("//tools/cuda:is_enabled"): [],
    "//conditions:default": ["@platforms//:incompatible"],
})
