// Nothing: targets of this package are refused before a compiler sees it.
