/* Nothing: a library of this file is linked against for its name alone. */
