"""The benchmark: this engine beside its peers and the wire's limit. ``python -m tests.bench --help``; ``make bench``.

``cases`` says what is moved, ``contestants`` moves it (in a process of its own each time), ``server`` is what they talk
to, ``measure`` takes turns and checks that the bytes arrived, ``figures`` makes medians and holds them against the
bars, ``report`` writes tables and pictures. ``server.c`` and ``raw_client.c`` are compiled at the first use.
"""
