"""A module of another repository, whose library says no `imports`."""

import beam

assert beam.LUMENS == 300
