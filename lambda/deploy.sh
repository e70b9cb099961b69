#!/usr/bin/env bash
# The sentiment function on AWS: see usage below. Safe to repeat; asks before it destroys.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'USAGE'
Usage: deploy.sh VERB [options]

  deploy                       build the image, push it, create or update the stack
  outputs                      the ARNs and addresses to use it by
  logs [--since 1h] [--errors] [--follow]
  test                         call the function with two texts and check the answer
  metrics [--days 7]           invocations, errors, throttles and duration, a line a day
  rollback                     deploy the image before the present one
  backup [FOLDER]              template, parameters, configuration and image digest
  stop | start                 reserved concurrency 0, and back: the emergency stop
  cleanup [--partial] [--yes]  delete everything; --partial keeps the image repository

Settings, from the environment:
  LAMBDA_FUNCTION_NAME  name of function, stack and repository   (sentiment-analysis)
  AWS_REGION            where; else the profile's region
  MODEL_NAME            a model at Hugging Face, or "embedded"   (DistilBERT on SST-2)
  MODEL_REVISION        its commit                               (as pinned)
  HF_TOKEN              for gated models; a build secret, in no layer
  BUILD_OPTIONS         more options of build/build.py: --labels, --polarities
  TORCH_INDEX_URL       where pip finds torch's CPU build
                        (the five above are of the image and are not remembered: give them again
                        with each deploy, or the default model is built)
  MEMORY_SIZE, TIMEOUT, LOG_LEVEL, LONG_TEXTS, ARCHITECTURE, API, ALARM_EMAIL,
  ALLOWED_ORIGIN, MONTHLY_BUDGET, RESERVED_CONCURRENCY, PROVISIONED_CONCURRENCY,
  DEPLOYMENT_PREFERENCE, LOG_RETENTION_DAYS
                        parameters of template.yaml; what is not set stays as it was
  BASE_DIGEST           of the base image; else base-image.digest, else looked up and kept there

Examples:
  MEMORY_SIZE=1024 ALARM_EMAIL=ops@example.org ./deploy.sh deploy
  ./deploy.sh logs --since 30m --errors
  ./deploy.sh cleanup --partial
USAGE
}

die() {
    printf 'deploy.sh: %s\n' "$*" >&2
    exit 2
}
say() { printf '%s\n' "$*" >&2; }

function=${LAMBDA_FUNCTION_NAME:-${SENTIMENT_LAMBDA_FUNCTION:-sentiment-analysis}}
[[ $function == arn:* ]] && function=$(cut -d: -f7 <<<"$function") # the alias's, as the worker has it
yes=
template=${TEMPLATE:-$here/template.yaml}
base_image=${BASE_IMAGE:-amazon/aws-lambda-python:3.13}

[[ $function =~ ^[a-z][a-z0-9-]{1,39}$ ]] || die "LAMBDA_FUNCTION_NAME=$function is no function's name"

confirm() {
    [[ $yes == 1 ]] && return
    [[ -t 0 ]] || die "$1 Say --yes to go on without being asked."
    local answer
    read -r -p "$1 Type the function's name to go on: " answer
    [[ $answer == "$function" ]] || die "nothing was done."
}

# The environment's variable and the template's parameter. (A list, because macOS has bash 3.)
parameters=(
    ARCHITECTURE:Architecture MEMORY_SIZE:MemorySize TIMEOUT:Timeout LOG_LEVEL:LogLevel
    LONG_TEXTS:LongTexts API:Api ALLOWED_ORIGIN:AllowedOrigin ALARM_EMAIL:AlarmEmail
    MONTHLY_BUDGET:MonthlyBudget RESERVED_CONCURRENCY:ReservedConcurrency
    PROVISIONED_CONCURRENCY:ProvisionedConcurrency DEPLOYMENT_PREFERENCE:DeploymentPreference
    LOG_RETENTION_DAYS:LogRetentionDays
)

update_stack() {
    local overrides=("FunctionName=$function" "ImageUri=$1") pair name
    for pair in "${parameters[@]}"; do
        name=${pair%%:*}
        if [[ -n ${!name+set} ]]; then overrides+=("${pair#*:}=${!name}"); fi
    done
    aws cloudformation deploy --stack-name "$function" --template-file "$template" \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset \
        --tags "Project=$function" --parameter-overrides "${overrides[@]}" >&2
}

make_repository() {
    aws cloudformation deploy --stack-name "$function-images" \
        --template-file "$here/repository.yaml" --no-fail-on-empty-changeset \
        --tags "Project=$function" --parameter-overrides "FunctionName=$function" >&2
}

delete_images() {
    local ids
    ids=$(aws ecr list-images --repository-name "$function" --query imageIds 2>/dev/null || echo "[]")
    [[ $ids == "[]" ]] ||
        aws ecr batch-delete-image --repository-name "$function" --image-ids "$ids" >/dev/null
}

# IAM deletes no policy that somebody still has.
detach_policy() {
    local arn kind name
    arn=$(output InvokePolicyArn 2>/dev/null || true)
    [[ $arn == arn:* ]] || return 0
    for kind in role user group; do
        while read -r name; do
            [[ -n $name && $name != None ]] || continue
            aws iam "detach-$kind-policy" "--$kind-name" "$name" --policy-arn "$arn"
            say "Took $arn off the $kind $name."
        done < <(aws iam list-entities-for-policy --policy-arn "$arn" --output text \
            --query "Policy$(title "$kind")s[].[$(title "$kind")Name]")
    done
}

title() { printf '%s%s' "$(tr '[:lower:]' '[:upper:]' <<<"${1:0:1}")" "${1:1}"; }

delete_stack() {
    aws cloudformation delete-stack --stack-name "$1"
    aws cloudformation wait stack-delete-complete --stack-name "$1"
}

output() {
    aws cloudformation describe-stacks --stack-name "$function" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}

parameter() {
    aws cloudformation describe-stacks --stack-name "$function" --output text \
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" 2>/dev/null || true
}

# The base image's digest: given, kept, or looked up and then kept for the next time.
base_digest() {
    local kept=$here/base-image.digest found
    if [[ -n ${BASE_DIGEST:-} ]]; then
        echo "$BASE_DIGEST"
    elif [[ -s $kept ]]; then
        cat "$kept"
    else
        found=$(docker buildx imagetools inspect "$base_image" --format '{{.Manifest.Digest}}' || true)
        if [[ $found == sha256:* ]]; then
            echo "$found" | tee "$kept"
            say "The base image is pinned in $kept; delete it to move on to a newer one."
        fi
    fi
}

build() {
    local tag=$1 digest platform=linux/amd64 secret=()
    [[ ${ARCHITECTURE:-$(parameter Architecture)} == arm64 ]] && platform=linux/arm64
    digest=$(base_digest)
    [[ $digest == sha256:* ]] || die "no digest of $base_image: is the name right, the network there?"
    [[ -n ${HF_TOKEN:-} ]] && secret=(--secret "id=hf_token,env=HF_TOKEN")
    # The label makes each deployment another image, and so another version: SAM publishes one only
    # for a new image, not for new settings.
    docker build --platform "$platform" --provenance=false --tag "$tag" --label "deployed=${tag##*:}" \
        --build-arg "BASE_IMAGE=$base_image" --build-arg "BASE_DIGEST=@$digest" \
        ${MODEL_NAME:+--build-arg "MODEL_NAME=$MODEL_NAME"} \
        ${MODEL_REVISION:+--build-arg "MODEL_REVISION=$MODEL_REVISION"} \
        ${BUILD_OPTIONS:+--build-arg "BUILD_OPTIONS=$BUILD_OPTIONS"} \
        ${TORCH_INDEX_URL:+--build-arg "TORCH_INDEX_URL=$TORCH_INDEX_URL"} \
        ${secret[@]+"${secret[@]}"} "$here" >&2
}

deploy() {
    local repository tag digest
    [[ ${TRUST_REMOTE_CODE:-false} == false ]] || die "TRUST_REMOTE_CODE stays false: no model's code is run."
    aws cloudformation describe-stacks --stack-name "$function-images" >/dev/null 2>&1 ||
        make_repository
    repository=$(aws ecr describe-repositories --repository-names "$function" --output text \
        --query 'repositories[0].repositoryUri')
    tag=$repository:$(date -u +%Y%m%d-%H%M%S)
    build "$tag"
    aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}" >&2
    docker push "$tag" >&2
    digest=$(aws ecr describe-images --repository-name "$function" --output text \
        --image-ids "imageTag=${tag##*:}" --query 'imageDetails[0].imageDigest')
    update_stack "$repository@$digest"
    outputs
}

outputs() {
    local name
    for name in FunctionArn AliasArn Url RestUrl InvokePolicyArn; do
        printf '%-16s %s\n' "$name" "$(output "$name")"
    done
}

logs() {
    local since=1h filter=() follow=0 ago start now seen
    while (($#)); do
        case $1 in
            --since) since=${2:?--since takes 30m, 2h, 7d}; shift ;;
            --errors) filter=(--filter-pattern '?ERROR ?"Task timed out" ?"Runtime exited" ?Traceback') ;;
            --follow) follow=1 ;;
            *) die "logs does not know $1" ;;
        esac
        shift
    done
    ago=$(seconds "$since")
    start=$(($(date +%s) - ago))
    seen=$(mktemp)
    # shellcheck disable=SC2064  # now: the name is gone when the trap runs
    trap "rm -f '$seen'" EXIT
    while :; do
        now=$(date +%s)
        aws logs filter-log-events --log-group-name "/aws/lambda/$function" --output text \
            --start-time "${start}000" --end-time "${now}000" \
            ${filter[@]+"${filter[@]}"} --query 'events[].[eventId, message]' |
            not_in "$seen"
        ((follow)) || return 0
        start=$((now - 120)) # an event may be written minutes before it can be read
        sleep 5
    done
}

# The events whose ids are not in the file yet. What follows an event's first line has no id.
not_in() {
    awk -F '\t' -v file="$1" '
        BEGIN { while ((getline id < file) > 0) seen[id]; close(file) }
        $1 ~ /^[0-9]+$/ && NF > 1 {
            new = !($1 in seen)
            if (new) print $1 >> file
            sub(/^[0-9]+\t/, "")
        }
        new
    '
}

seconds() {
    local number=${1%[smhd]}
    [[ $number =~ ^[0-9]+$ ]] || die "$1 is no time: 30m, 2h, 7d"
    case $1 in
        *m) echo $((number * 60)) ;;
        *h) echo $((number * 3600)) ;;
        *d) echo $((number * 86400)) ;;
        *) echo "$number" ;;
    esac
}

test_() {
    local answer
    answer=$(mktemp)
    # shellcheck disable=SC2064  # now: the name is gone when the trap runs
    trap "rm -f '$answer' '$answer.in'" EXIT
    printf '{"texts": ["I love this!", "This is terrible"]}' >"$answer.in"
    aws lambda invoke --function-name "$function" --qualifier live \
        --payload "fileb://$answer.in" "$answer" >/dev/null
    cat "$answer"
    echo
    grep -q '"count": *2' "$answer" || die "the answer has not two results: see ./deploy.sh logs --errors"
}

metrics() {
    local days=7 name statistic
    if [[ ${1:-} == --days ]]; then days=${2:?--days takes a number}; fi
    for name in Invocations Errors Throttles Duration; do
        statistic=Sum
        if [[ $name == Duration ]]; then statistic=Average; fi
        say "$name ($statistic a day)"
        aws cloudwatch get-metric-statistics --namespace AWS/Lambda --metric-name "$name" \
            --dimensions "Name=FunctionName,Value=$function" --statistics "$statistic" --period 86400 \
            --start-time "$(($(date +%s) - days * 86400))" --end-time "$(date +%s)" \
            --query "sort_by(Datapoints, &Timestamp)[].[Timestamp, $statistic]" --output text
    done
}

rollback() {
    local present previous
    present=$(parameter ImageUri)
    previous=$(aws ecr describe-images --repository-name "$function" --output text --query \
        'reverse(sort_by(imageDetails, &imagePushedAt))[].[imageDigest]' |
        awk -v now="${present##*@}" 'found {print; exit} $1 == now {found = 1}')
    [[ $previous == sha256:* ]] || die "there is no image before ${present##*@}."
    say "From ${present##*@} back to $previous"
    update_stack "${present%@*}@$previous"
}

backup() {
    local folder=${1:-backup-$function-$(date -u +%Y%m%d-%H%M%S)}
    mkdir -p "$folder"
    aws cloudformation get-template --stack-name "$function" >"$folder/template.json"
    aws cloudformation describe-stacks --stack-name "$function" >"$folder/stack.json"
    aws lambda get-function-configuration --function-name "$function" >"$folder/function.json"
    aws ecr describe-images --repository-name "$function" >"$folder/images.json"
    say "Saved in $folder. The image itself stays in the repository: $(parameter ImageUri)"
}

stop() {
    # Lambda refuses to reserve less than what is provisioned; `start` provisions it again.
    aws lambda delete-provisioned-concurrency-config --function-name "$function" \
        --qualifier live >/dev/null 2>&1 || true
    aws lambda put-function-concurrency --function-name "$function" \
        --reserved-concurrent-executions 0 >/dev/null
    say "$function answers nobody any more. The worker waits and scores provisionally. Back: $0 start"
}

start() {
    local reserved provisioned
    reserved=$(parameter ReservedConcurrency)
    provisioned=$(parameter ProvisionedConcurrency)
    if ((${reserved:--1} < 0)); then
        aws lambda delete-function-concurrency --function-name "$function"
    else
        aws lambda put-function-concurrency --function-name "$function" \
            --reserved-concurrent-executions "$reserved" >/dev/null
    fi
    if ((${provisioned:-0} > 0)); then
        aws lambda put-provisioned-concurrency-config --function-name "$function" \
            --qualifier live --provisioned-concurrent-executions "$provisioned" >/dev/null
    fi
    say "$function answers again."
}

cleanup() {
    local partial=0
    while (($#)); do
        case $1 in
            --partial) partial=1 ;;
            --yes) yes=1 ;;
            *) die "cleanup does not know $1" ;;
        esac
        shift
    done
    if ((partial)); then
        confirm "This deletes the function $function, its API, queues, alarms and logs; its images stay."
        detach_policy
        delete_stack "$function"
    else
        confirm "This deletes the function $function, its API, queues, alarms, logs and images."
        detach_policy
        delete_stack "$function"
        delete_images
        delete_stack "$function-images"
    fi
    say "Done. Set USE_LAMBDA_SENTIMENT=0 where a worker should go on without it."
}

verb=${1:-}
shift || true
for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then verb=--help; fi
done
case $verb in
    deploy | outputs | logs | metrics | rollback | backup | stop | start | cleanup) "$verb" "$@" ;;
    test) test_ "$@" ;;
    -h | --help | help) usage ;;
    "")
        usage >&2
        exit 2
        ;;
    *) die "$verb is no verb; see $0 --help" ;;
esac
