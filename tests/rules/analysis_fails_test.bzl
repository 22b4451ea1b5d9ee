"""A test that passes when a target is refused at analysis, with the words that are expected."""

def _analysis_fails_test_impl(ctx):
    # A list, because of the transition.
    target = ctx.attr.target[0]
    if AnalysisFailureInfo not in target:
        return AnalysisTestResultInfo(success = False, message = "%s was not refused" % target.label)
    causes = [cause.message for cause in target[AnalysisFailureInfo].causes.to_list()]
    said = "\n".join(causes)
    missing = [words for words in ctx.attr.says if words not in said]
    return AnalysisTestResultInfo(
        success = not missing,
        message = "wanted words not there: %r\ngot:\n%s" % (missing, said),
    )

def _analysis_fails_test(settings, toolchains = []):
    flags = {str(Label(flag)): value for flag, value in settings.items()}
    flags["//command_line_option:extra_toolchains"] = [str(Label(name)) for name in toolchains]
    flags["//command_line_option:allow_analysis_failures"] = "True"
    return rule(
        implementation = _analysis_fails_test_impl,
        doc = "Passes when `target` is refused at analysis and the error has all words of `says`.",
        analysis_test = True,
        attrs = {
            "says": attr.string_list(doc = "Parts of the error.", mandatory = True),
            "target": attr.label(
                cfg = analysis_test_transition(settings = flags),
                doc = "A target that must be refused; tag it `manual`.",
                mandatory = True,
            ),
        },
    )

# One rule a setting: a transition's settings are part of the rule.
analysis_fails_test = _analysis_fails_test({})
nocuda_analysis_fails_test = _analysis_fails_test({"//tools/cuda:enable": False})
unknown_arch_analysis_fails_test = _analysis_fails_test({"//tools/cuda:archs": ["sm_80", "sm_12"]})
no_arch_analysis_fails_test = _analysis_fails_test({"//tools/cuda:archs": []})
new_gcc_analysis_fails_test = _analysis_fails_test({}, ["//tests/rules:gcc_99_toolchain"])
no_identifier_analysis_fails_test = _analysis_fails_test({"//csrc:namespace": "2fast"})
unknown_subject_analysis_fails_test = _analysis_fails_test({"//tests:subject": "sdist"})
unknown_cuda_version_analysis_fails_test = _analysis_fails_test({"//tools/cuda:version": "12.0"})
