"""The pages of the month that has ended, by Airflow 3: copy into the folder of DAGs.

The month is that of the run's own date, not of the clock, so that clearing an old run makes the old month again. An
exit code other than 0 fails the task; the pages that were made are there all the same.
"""

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

MONTH = "{{ (data_interval_end.in_timezone('Europe/Berlin') - macros.timedelta(days=1)).strftime('%Y-%m') }}"

with DAG(
    dag_id="salesops_monthly",
    schedule="10 6 1 * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    max_active_runs=1,
    tags=["salesops"],
):
    BashOperator(
        task_id="pages",
        bash_command=f".venv/bin/salesops report params/monthly.yml --period {MONTH} --log json",
        cwd="/srv/salesops",
        append_env=True,
        retries=1,
    )
