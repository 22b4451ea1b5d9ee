"""A build without CUDA: how to ask for it, and what makes a target one that it skips."""

# As errors say it: the label is one that a dependent's command line takes too.
NO_CUDA = "--%s=false" % Label("//tools/cuda:enable")

# Labels, not words: a macro's words mean what they say in the dependent's package.
NEEDS_CUDA = select({
    Label("//tools/cuda:is_enabled"): [],
    "//conditions:default": [Label("@platforms//:incompatible")],
})
