"""Where data, networks, tasks and training meet, to learn and to be measured.

In the order of a run: `prepare` (data), `defaults` (every setting gets its value), `settle` (what
the hardware decides), `starting` (weights to begin with), `assemble` (all of it, as one object),
`announce` (what is said before the first step), `train`; `scoring` and `validate` measure.
"""
