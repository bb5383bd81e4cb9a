#!/bin/sh
# Make the work pool and the automations, unless they are there, and the deployments of deploy/prefect.yaml. Run it once,
# and after upgrades.
set -eu
cd "${SDT_HOME:-.}"
prefect work-pool inspect sdt > /dev/null 2>&1 || prefect work-pool create sdt --type process
prefect automation inspect sdt-silent-runs > /dev/null 2>&1 || prefect automation create --from-file deploy/automations.yaml
exec prefect --no-prompt deploy --all --prefect-file deploy/prefect.yaml
