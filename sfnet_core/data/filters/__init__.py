"""Filters: ``oh_p50 > 9 and f61 > 0.3 and bpt = "AGN"`` becomes a mask over the galaxies.

    names = CodeNames(codes)                                   # Names(dataset) for a catalogue alone
    mask = select('9 < oh_p50 < 9.2 and not f61', names)      # (N,) bool; FilterError says what is wrong, and where
    complete("oh_p", 4, names)                                 # ['oh_p50']

The grammar, complete (keywords in any case; ``[ ]`` may be left out, ``{ }`` may be repeated)::

    filter    = both { "or" both }
    both      = one { "and" one }
    one       = "not" one | "(" filter ")" | test
    test      = value compare value [ compare value ]          9 < oh_p50 <= 9.2; = and == are the same
              | value [ "not" ] "between" value "and" value    both ends included
              | value [ "not" ] "in" "(" literal { "," literal } ")"
              | name [ "not" ] "contains" text                 capital or small letters alike
              | name "is" ( "known" | "unknown" )
              | name                                           a flag such as star; f61: the feature fires
              | "within" number unit "of" place                unit: deg, arcmin, arcsec
              | "cone" "(" place "," number unit ")"
    place     = number [ "," ] number                          RA and Dec in deg, or 10:00:24.1 +02:12:30
              | text                                           the galaxy with that identifier
    value     = name | number | text | "abs" "(" name ")"
    name      = a word, or `any characters` between backquotes: always a catalogue column
    text      = "…" or '…', the quote doubled inside

A galaxy may be on several lists: ``list = "mergers"`` takes those on that list, ``list is unknown`` those on none.

An unknown value (NaN, no text) meets no comparison, not even ``!=``; ``not …`` takes every galaxy that ``…`` does not,
the unknown ones too. Filters are read by the parser here and by nothing else: no text of a filter is ever run.
"""
