#!/bin/sh
# Keys for builds with --stamp. STABLE_: who reads them is built anew when one changes.
cd "$(dirname "$0")/../.." || exit 1
revision=$(git rev-parse HEAD 2>/dev/null) || revision=unknown
if [ "$revision" = unknown ] || [ -n "$(git status --porcelain)" ]; then dirty=yes; else dirty=no; fi
echo "STABLE_GIT_REVISION $revision"
echo "STABLE_GIT_DIRTY $dirty"
