#!/usr/bin/env bash
# From nothing to a function that answers: checks what is needed, then deploy.sh deploy, then a test.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'USAGE'
Usage: quick-deploy.sh [--check]

Checks aws, docker, credentials and region (and sam, which is not needed), builds and deploys the
function, and calls it once. --check only checks. Settings: see ./deploy.sh --help.

Example:
  AWS_REGION=eu-central-1 ALARM_EMAIL=ops@example.org ./quick-deploy.sh
USAGE
}

missing=0
ok() { printf '  ok       %s\n' "$*"; }
lacks() {
    printf '  missing  %s\n' "$*"
    missing=1
}

check() {
    if command -v aws >/dev/null; then
        ok "$(aws --version 2>&1 | cut -d' ' -f1)"
    else
        lacks "aws: install the AWS CLI"
    fi
    if ! command -v docker >/dev/null; then
        lacks "docker: install it, with buildx"
    elif docker info >/dev/null 2>&1; then
        ok "docker"
        docker buildx version >/dev/null 2>&1 || lacks "docker buildx: install the plugin"
    else
        lacks "docker is installed and does not answer: is it running, may you use it?"
    fi
    if command -v sam >/dev/null; then
        ok "sam (not needed)"
    else
        ok "sam is not installed, and not needed: CloudFormation translates the template"
    fi
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region 2>/dev/null || true)}}
    if [[ -n $region ]]; then
        export AWS_REGION=$region AWS_DEFAULT_REGION=$region
        ok "region $region"
    else
        lacks "region: set AWS_REGION, for example AWS_REGION=eu-central-1"
    fi
    if account=$(aws sts get-caller-identity --query Account --output text 2>/dev/null); then
        ok "credentials of account $account"
    else
        lacks "credentials: aws configure, aws sso login, or AWS_PROFILE"
    fi
}

value() { awk -v name="$1" '$1 == name { print $2 }' <<<"$printed"; }

case ${1:-} in
    -h | --help)
        usage
        exit
        ;;
    "" | --check) ;;
    *)
        usage >&2
        exit 2
        ;;
esac
check
if ((missing)); then
    echo "Something is missing; nothing was done." >&2
    exit 2
fi
if [[ ${1:-} == --check ]]; then exit; fi
"$here/deploy.sh" deploy
"$here/deploy.sh" test
echo
printed=$("$here/deploy.sh" outputs)
echo "Use it where the worker runs:"
echo "  aws iam attach-role-policy --role-name MY-WORKER-ROLE --policy-arn $(value InvokePolicyArn)"
echo "  export LAMBDA_FUNCTION_NAME=$(value AliasArn) AWS_REGION=$AWS_REGION"
echo "  sentiment-worker doctor"
