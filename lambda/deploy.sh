#!/usr/bin/env bash
# The sentiment function on AWS: see usage below. Safe to repeat; asks before it destroys.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'USAGE'
Usage: deploy.sh [VERB] [options]

  deploy | update              build the image, push it, create or update the stack; also without
                               a verb. Says first what each setting was and will be
  outputs                      the ARNs and addresses to use it by
  logs [--since 1h] [--errors] [--follow]
  test                         call the function and check the answer
  metrics [--days 7]           invocations, errors, throttles and duration, a line a day
  rollback                     deploy the image that was live before the present one
  backup [FOLDER]              template, parameters, configuration and image digest
  stop | start                 reserved concurrency 0, and back: the emergency stop
  cleanup [--partial] [--yes]  delete everything; --partial keeps the image repository. A function
                               that another stack made (ummatics-sentiment-stack) goes with that

Settings, from the environment:
  FUNCTION              sentiment, or transcription: speech to text, for sources of kind audio, with
                        transcription/template.yaml             (sentiment)
  LAMBDA_FUNCTION_NAME  name of function, stack and repository   (sentiment-analysis); of
                        transcription it is TRANSCRIPTION_FUNCTION_NAME (transcription)
  AWS_REGION            where; else the profile's region
  MODEL_NAME            a model at Hugging Face, or "embedded"   (DistilBERT on SST-2; Whisper small)
  MODEL_REVISION        its commit             (as pinned; the newest of a model of transcription)
  BUILD_OPTIONS         more options of build/build.py: --labels, --polarities
  BASE_IMAGE            what the image stands on                (amazon/aws-lambda-python:3.13)
  MEMORY_SIZE, TIMEOUT, LOG_LEVEL, LONG_TEXTS, ARCHITECTURE, API, ALLOWED_ORIGIN, OPEN_HEALTH,
  ALARM_EMAIL, MONTHLY_BUDGET, RESERVED_CONCURRENCY, PROVISIONED_CONCURRENCY, WARM_EVERY,
  DEPLOYMENT_PREFERENCE, LOG_RETENTION_DAYS, ERRORS_MORE_THAN, ERRORS_WITHIN,
  DURATION_STATISTIC, DURATION_PERCENT, DURATION_WITHIN, THROTTLED_PERIODS
                        parameters of template.yaml; AUDIO_BUCKET and AUDIO_PREFIX of transcription's
                        All of these are remembered by the stack: what is not set stays as it was
  HF_TOKEN              for gated models; a build secret, in no layer
  TORCH_INDEX_URL       where pip finds torch's CPU build
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

# The first version of the AWS CLI reads only the second name.
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
case ${FUNCTION:=sentiment} in
    sentiment)
        folder=$here
        function=${LAMBDA_FUNCTION_NAME:-${SENTIMENT_LAMBDA_FUNCTION:-sentiment-analysis}}
        ;;
    # LAMBDA_FUNCTION_NAME is the other one's: a shell that has it must not lose that stack.
    transcription) folder=$here/transcription function=${TRANSCRIPTION_FUNCTION_NAME:-transcription} ;;
    *) die "FUNCTION=$FUNCTION is neither sentiment nor transcription" ;;
esac
if [[ $function == arn:* ]]; then # the alias's, as the worker has it
    there=$(cut -d: -f4 <<<"$function")
    function=$(cut -d: -f7 <<<"$function")
    [[ -z $region || $region == "$there" ]] ||
        die "LAMBDA_FUNCTION_NAME is in $there, AWS_REGION is $region: which of them?"
    region=$there
fi
[[ -z $region ]] || export AWS_REGION=$region AWS_DEFAULT_REGION=$region
export AWS_DEFAULT_OUTPUT=json AWS_PAGER= # whatever the profile says
yes=
template=${TEMPLATE:-$folder/template.yaml}
base_image='' # these two by `recall`
remembered=''

[[ $function =~ ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ && ${#function} -le 40 ]] || die "$function is no function's name"

confirm() {
    [[ $yes == 1 ]] && return
    [[ -t 0 ]] || die "$1 Say --yes to go on without being asked."
    local answer
    say "Account $(aws sts get-caller-identity --query Account --output text), region ${region:-of the profile}."
    read -r -p "$1 Type the function's name to go on: " answer
    [[ $answer == "$function" ]] || die "nothing was done."
}

# The environment's variable and the template's parameter. (A list, because macOS has bash 3.)
parameters=(
    ARCHITECTURE:Architecture MEMORY_SIZE:MemorySize TIMEOUT:Timeout LOG_LEVEL:LogLevel
    LONG_TEXTS:LongTexts API:Api ALLOWED_ORIGIN:AllowedOrigin ALARM_EMAIL:AlarmEmail
    MONTHLY_BUDGET:MonthlyBudget RESERVED_CONCURRENCY:ReservedConcurrency
    PROVISIONED_CONCURRENCY:ProvisionedConcurrency DEPLOYMENT_PREFERENCE:DeploymentPreference
    LOG_RETENTION_DAYS:LogRetentionDays OPEN_HEALTH:OpenHealth WARM_EVERY:WarmEvery
    ERRORS_MORE_THAN:ErrorsMoreThan ERRORS_WITHIN:ErrorsWithin
    DURATION_STATISTIC:DurationStatistic DURATION_PERCENT:DurationPercent
    DURATION_WITHIN:DurationWithin THROTTLED_PERIODS:ThrottledPeriods
    MODEL_NAME:ModelName MODEL_REVISION:ModelRevision BUILD_OPTIONS:BuildOptions BASE_IMAGE:BaseImage
    AUDIO_BUCKET:AudioBucket AUDIO_PREFIX:AudioPrefix
)

# Those of the template; another one that is set would be dropped in silence.
choose_parameters() {
    local pair chosen=()
    for pair in "${parameters[@]}"; do
        if grep -q "^  ${pair#*:}:$" "$folder/template.yaml"; then
            chosen+=("$pair")
        elif is_given "${pair%%:*}"; then
            die "${pair%%:*} is no setting of ${folder##*/}/template.yaml."
        fi
    done
    parameters=("${chosen[@]}")
}

# Empty means none where that is a value, and as it was where it is not.
is_given() {
    [[ -n ${!1:-} || (-n ${!1+set} && $1 =~ ^(ALLOWED_ORIGIN|ALARM_EMAIL|MODEL_REVISION|BUILD_OPTIONS|AUDIO_BUCKET|AUDIO_PREFIX)$) ]]
}

# What the stack was built of last, where nobody says otherwise. Another model has another revision,
# and options of its own.
recall() {
    remembered=$(known_parameters)
    if [[ -z ${MODEL_NAME:-} || $MODEL_NAME == "$(known ModelName)" ]]; then
        MODEL_NAME=$(known ModelName)
        MODEL_REVISION=${MODEL_REVISION-$(known ModelRevision)}
        BUILD_OPTIONS=${BUILD_OPTIONS-$(known BuildOptions)}
    else
        MODEL_REVISION=${MODEL_REVISION-} BUILD_OPTIONS=${BUILD_OPTIONS-}
    fi
    BASE_IMAGE=${BASE_IMAGE:-$(known BaseImage)}
    base_image=${BASE_IMAGE:-amazon/aws-lambda-python:3.13}
}

# Each setting as it is and as it will be, before anything is done.
show_settings() {
    local pair name now
    if [[ -n $remembered ]]; then say "The stack $function, as it is and as it will be:"; else say "A new stack, $function; what is not listed is as template.yaml has it:"; fi
    for pair in "${parameters[@]}"; do
        name=${pair%%:*}
        now=$(known "${pair#*:}")
        if is_given "$name" && [[ ${!name} != "$now" ]]; then
            say "$(printf '  %-24s %s -> %s' "$name" "${now:-(default)}" "${!name:-(none)}")"
        elif [[ -n $remembered ]]; then
            say "$(printf '  %-24s %s' "$name" "${now:-(default)}")"
        fi
    done
}

update_stack() {
    local overrides=("FunctionName=$function" "ImageUri=$1") pair name
    for pair in "${parameters[@]}"; do
        name=${pair%%:*}
        if is_given "$name"; then overrides+=("${pair#*:}=${!name}"); fi
    done
    aws cloudformation deploy --stack-name "$function" --template-file "$template" \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset \
        --tags "Project=$function" --parameter-overrides "${overrides[@]}" >&2
    redeploy_rest_api
}

# A deployment is a snapshot: what a parameter changed in the REST API is live only after another.
redeploy_rest_api() {
    local url
    url=$(output RestUrl)
    [[ $url == https://* ]] || return 0
    url=${url#https://}
    aws apigateway create-deployment --rest-api-id "${url%%.*}" --stage-name v1 >/dev/null
}

make_repository() {
    local said
    if ! said=$(aws cloudformation deploy --stack-name "$function-images" \
        --template-file "$here/repository.yaml" --no-fail-on-empty-changeset \
        --tags "Project=$function" --parameter-overrides "FunctionName=$function" 2>&1) &&
        [[ $said != *"No updates are to be performed"* ]]; then
        die "$said"
    fi
}

delete_images() {
    local ids
    aws ecr describe-repositories --repository-names "$function" >/dev/null 2>&1 || return 0
    ids=$(aws ecr list-images --repository-name "$function" --query imageIds --output json)
    [[ $ids == "[]" ]] ||
        aws ecr batch-delete-image --repository-name "$function" --image-ids "$ids" >/dev/null
}

# IAM deletes no policy that somebody still has.
detach_policy() {
    local arn kind name names
    arn=$(aws cloudformation describe-stack-resource --stack-name "$function" --output text \
        --logical-resource-id InvokePolicy --query StackResourceDetail.PhysicalResourceId \
        2>/dev/null || true)
    [[ $arn == arn:* ]] || return 0
    for kind in role user group; do
        names=$(aws iam list-entities-for-policy --policy-arn "$arn" --output text \
            --query "Policy$(title "$kind")s[].[$(title "$kind")Name]")
        while read -r name; do
            [[ -n $name && $name != None ]] || continue
            aws iam "detach-$kind-policy" "--$kind-name" "$name" --policy-arn "$arn"
            say "Took $arn off the $kind $name."
        done <<<"$names"
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
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue"
}

# Every parameter of the stack, a name and a value a line; nothing where there is no such stack.
# Whatever else goes wrong ends the script: what is remembered must not be taken for nothing.
known_parameters() {
    local said
    if said=$(aws cloudformation describe-stacks --stack-name "$function" --output text \
        --query 'Stacks[0].Parameters[].[ParameterKey, ParameterValue]' 2>&1); then
        [[ $said == None ]] || echo "$said"
    elif [[ $said != *"does not exist"* ]]; then
        die "$said"
    fi
}

known() { awk -F '\t' -v key="$1" '$1 == key { print $2 }' <<<"$remembered"; }

# A stack's state; nothing where there is no such stack.
state_of() {
    aws cloudformation describe-stacks --stack-name "$1" --output text \
        --query 'Stacks[0].StackStatus' 2>/dev/null || true
}

# A first creation that failed holds nothing, and refuses to be updated; two at once would lose.
make_room_for() {
    local state
    state=$(state_of "$1")
    case $state in
        ROLLBACK_COMPLETE | REVIEW_IN_PROGRESS)
            say "The stack $1 was never finished ($state): it is made anew."
            delete_stack "$1"
            ;;
        *_IN_PROGRESS) die "the stack $1 is being changed ($state): wait for that to end." ;;
    esac
}

# The base image's digest: given, kept, or looked up and then kept for the next time.
base_digest() {
    local kept=$here/base-image.digest found
    if [[ -n ${BASE_DIGEST:-} ]]; then
        echo "${BASE_DIGEST#@}"
    elif [[ -s $kept && $(cut -d@ -f1 "$kept") == "$base_image" ]]; then
        cut -d@ -f2 "$kept"
    else
        found=$(docker buildx imagetools inspect "$base_image" --format '{{.Manifest.Digest}}' || true)
        if [[ $found == sha256:* ]]; then
            echo "$base_image@$found" >"$kept"
            echo "$found"
            say "The base image is pinned in $kept; delete it to move on to a newer one."
        fi
    fi
}

build() {
    local tag=$1 digest platform=linux/amd64 secret=()
    [[ ${ARCHITECTURE:-$(parameter Architecture 2>/dev/null || true)} == arm64 ]] && platform=linux/arm64
    digest=$(base_digest)
    [[ $digest == sha256:* ]] || die "no digest of $base_image: is the name right, the network there?"
    [[ -n ${HF_TOKEN:-} ]] && secret=(--secret "id=hf_token,env=HF_TOKEN")
    # The label makes each deployment another image, and so another version: SAM publishes one only
    # for a new image, not for new settings.
    docker buildx build --load --platform "$platform" --provenance=false --tag "$tag" --label "deployed=${tag##*:}" \
        --build-arg "BASE_IMAGE=$base_image" --build-arg "BASE_DIGEST=@$digest" \
        ${MODEL_NAME:+--build-arg "MODEL_NAME=$MODEL_NAME"} \
        ${MODEL_REVISION:+--build-arg "MODEL_REVISION=$MODEL_REVISION"} \
        ${BUILD_OPTIONS:+--build-arg "BUILD_OPTIONS=$BUILD_OPTIONS"} \
        ${TORCH_INDEX_URL:+--build-arg "TORCH_INDEX_URL=$TORCH_INDEX_URL"} \
        --file "$folder/Dockerfile" ${secret[@]+"${secret[@]}"} "$here" >&2
}

deploy() {
    local repository tag digest
    [[ ${TRUST_REMOTE_CODE:-false} == false ]] || die "TRUST_REMOTE_CODE stays false: no model's code is run."
    [[ ${RESERVED_CONCURRENCY:--1} != 0 || ${PROVISIONED_CONCURRENCY:-0} == 0 ]] ||
        die "RESERVED_CONCURRENCY=0 allows nothing to be provisioned."
    make_room_for "$function"
    make_room_for "$function-images"
    choose_parameters
    recall
    show_settings
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
    remember "$digest"
    outputs
}

image() {
    aws ecr batch-get-image --repository-name "$function" --image-ids "imageDigest=$1" \
        --query "images[0].$2" --output text
}

# A tag says when an image went live: only such images are gone back to.
remember() {
    local manifest type
    manifest=$(image "$1" imageManifest)
    type=$(image "$1" imageManifestMediaType)
    aws ecr put-image --repository-name "$function" --image-tag "live-$(date -u +%Y%m%d-%H%M%S)" \
        --image-manifest "$manifest" --image-manifest-media-type "$type" >/dev/null
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
        *m) echo $((10#$number * 60)) ;;
        *h) echo $((10#$number * 3600)) ;;
        *d) echo $((10#$number * 86400)) ;;
        *) echo $((10#$number)) ;;
    esac
}

test_() {
    local answer
    answer=$(mktemp)
    # shellcheck disable=SC2064  # now: the name is gone when the trap runs
    trap "rm -f '$answer' '$answer.in'" EXIT
    if [[ $FUNCTION == transcription ]]; then
        printf '{"httpMethod": "GET", "path": "/health"}' >"$answer.in"
    else
        printf '{"texts": ["I love this!", "This is terrible"]}' >"$answer.in"
    fi
    aws lambda invoke --function-name "$function" --qualifier live \
        --payload "fileb://$answer.in" "$answer" >/dev/null
    cat "$answer"
    echo
    if [[ $FUNCTION == transcription ]]; then
        grep -q 'model_version' "$answer" || die "it does not say its model: see ./deploy.sh logs --errors"
    else
        grep -q '"count": *2' "$answer" || die "the answer has not two results: see ./deploy.sh logs --errors"
    fi
}

metrics() {
    local days=7 name statistic
    if [[ ${1:-} == --days ]]; then days=${2:?--days takes a number}; fi
    [[ $days =~ ^[1-9][0-9]{0,2}$ ]] || die "--days takes a number from 1 to 999, not $days"
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
    # Tags and digests of what went live, the newest first; the present one, then another.
    previous=$(aws ecr list-images --repository-name "$function" --output text \
        --query "imageIds[?starts_with(imageTag || '', 'live-')].[imageTag, imageDigest]" | sort -r |
        awk -v now="${present##*@}" '$2 == now { seen = 1; next } seen { print $2; exit }')
    [[ $previous == sha256:* ]] || die "no other image was live before ${present##*@}."
    say "From ${present##*@} back to $previous"
    update_stack "${present%@*}@$previous"
    remember "$previous"
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
    # Calls that keep it warm would only fill the on-failure queue.
    aws events disable-rule --name "$function-warm" >/dev/null 2>&1 || true
    say "$function answers nobody any more; the worker waits for it. Back: $0 start"
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
        say "Reserved: $reserved at once, as the stack says."
    fi
    if ((${provisioned:-0} > 0)); then
        aws lambda put-provisioned-concurrency-config --function-name "$function" \
            --qualifier live --provisioned-concurrent-executions "$provisioned" >/dev/null
    fi
    aws events enable-rule --name "$function-warm" >/dev/null 2>&1 || true
    say "$function answers again."
}

# The stack that made the function, where it was not this script: a function of document 001, for
# example, whose stack is ummatics-sentiment-stack.
stack_of_another_kind() {
    local stack
    # CloudFormation tags what it makes, and nobody else can set such a tag.
    stack=$(aws lambda get-function --function-name "$function" --output text \
        --query 'Tags."aws:cloudformation:stack-name"' 2>/dev/null || true)
    [[ $stack == None || $stack == "$function" ]] || echo "$stack"
}

clean_other() {
    local image repository
    # 123456789012.dkr.ecr.eu-central-1.amazonaws.com/ummatics-sentiment@sha256:... or :latest
    image=$(aws lambda get-function --function-name "$function" --output text --query Code.ImageUri)
    repository=${image#*/} repository=${repository%%[@:]*}
    confirm "The stack $1 made the function $function; this deletes that stack$( (($2)) || echo " and the image repository $repository")."
    delete_stack "$1"
    if ((!$2)) && [[ $image == */* ]] && aws ecr describe-repositories --repository-names "$repository" >/dev/null 2>&1; then
        aws ecr delete-repository --repository-name "$repository" --force >/dev/null
        say "Deleted the image repository $repository."
    fi
    say "Done. The stack $1 is gone. Set USE_LAMBDA_SENTIMENT=0 where a worker should go on without it."
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
    local other
    other=$(stack_of_another_kind)
    if [[ -n $other ]]; then
        clean_other "$other" "$partial"
        return
    fi
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
    if [[ $FUNCTION == sentiment ]]; then
        say "Done. Set USE_LAMBDA_SENTIMENT=0 where a worker should go on without it."
    fi
}

verb=${1:-}
shift || true
for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then verb=--help; fi
done
case $verb in
    "" | update) deploy "$@" ;;
    deploy | outputs | logs | metrics | rollback | backup | stop | start | cleanup) "$verb" "$@" ;;
    test) test_ "$@" ;;
    -h | --help | help) usage ;;
    *) die "$verb is no verb; see $0 --help" ;;
esac
