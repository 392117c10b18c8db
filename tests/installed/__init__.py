"""An installed Airflow with our package, asked in processes of its own.

By default it is the one that the tests run in; ``--airflow-python`` names the interpreter of another environment, which
needs no tool for tests. So ``make test-matrix`` puts the questions of these tests to each Airflow.
"""
