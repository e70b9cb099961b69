# The worker on ECS with Fargate: a service that stays, or a task at its times. Each task first writes
# its configuration, brings the database's schema up to date, and then works; all as user 10001, read-only
# but for /tmp.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # One volume that its containers share: the image declares /tmp, so that its user may write there.
  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts.html
  tmp           = { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }
  config        = "/tmp/sentiment-worker.toml"
  is_alive      = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/livez', timeout=10)"
  writes_config = "import os, pathlib; pathlib.Path(os.environ['FILE']).write_text(os.environ['CONFIG'])"
  image         = { image = var.image, readonlyRootFilesystem = true, user = "10001", linuxParameters = { capabilities = { drop = ["ALL"] } } }
  secrets       = [{ name = "DATABASE_URL", valueFrom = var.database_secret_arn }]
  log = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.log.name
      "awslogs-region"        = data.aws_region.current.region
      "awslogs-stream-prefix" = "ecs"
    }
  }
  variables = merge(var.settings, {
    AWS_REGION           = data.aws_region.current.region
    LAMBDA_AUTH_METHOD   = "iam"
    LAMBDA_FUNCTION_NAME = var.function_arn
    LAMBDA_TIMEOUT       = tostring(var.function_timeout)
    SENTIMENT_CONFIG     = local.config
    SENTIMENT_GRACE      = "${var.grace_seconds}s"
  })

  containers = [
    merge(local.image, {
      name             = "config"
      essential        = false
      entryPoint       = ["python", "-c", local.writes_config]
      environment      = [{ name = "FILE", value = local.config }, { name = "CONFIG", value = var.config }]
      mountPoints      = [local.tmp]
      logConfiguration = local.log
    }),
    merge(local.image, {
      name             = "migrate"
      essential        = false
      command          = ["db", "upgrade"]
      secrets          = local.secrets
      mountPoints      = [local.tmp]
      logConfiguration = local.log
    }),
    merge(local.image, {
      name        = "worker"
      essential   = true
      command     = [var.mode == "serve" ? "serve" : "once"]
      environment = [for name, value in local.variables : { name = name, value = value }]
      secrets     = local.secrets
      mountPoints = [local.tmp]
      stopTimeout = var.grace_seconds + 10
      dependsOn = [
        { containerName = "config", condition = "SUCCESS" },
        { containerName = "migrate", condition = "SUCCESS" },
      ]
      # That the process lives; a database that is away is no reason to start another one.
      healthCheck = {
        command     = ["CMD", "python", "-c", var.mode == "serve" ? local.is_alive : "pass"]
        interval    = 30
        timeout     = 15
        startPeriod = 60
        retries     = 4
      }
      logConfiguration = local.log
    }),
  ]
}

resource "aws_cloudwatch_log_group" "log" {
  # checkov:skip=CKV_AWS_158: no text is logged; CloudWatch encrypts with keys of its own
  # checkov:skip=CKV_AWS_338: two weeks are enough to find a fault; var.log_retention_days
  name              = "/sentiment/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = { Project = var.name }
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# What ECS needs to start it.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = { Project = var.name }
}

data "aws_iam_policy_document" "execution" {
  # checkov:skip=CKV_AWS_356: a token of the registry has no ARN
  statement {
    sid       = "ReadsTheDatabasesUrl"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.database_secret_arn]
  }
  statement {
    sid       = "WritesTheLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.log.arn}:*"]
  }
  dynamic "statement" {
    for_each = compact([var.image_repository_arn])
    content {
      sid       = "PullsTheImage"
      actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [statement.value]
    }
  }
  dynamic "statement" {
    for_each = compact([var.image_repository_arn])
    content {
      sid       = "TheRegistrysTokenHasNoArn"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# What the worker may do: call the function, and read its sources.
resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = { Project = var.name }
}

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "InvokeTheSentimentFunction"
    actions   = ["lambda:InvokeFunction"]
    resources = compact([var.function_arn, var.transcription_arn])
  }
  dynamic "statement" {
    for_each = length(var.read_queue_arns) == 0 ? [] : [var.read_queue_arns]
    content {
      sid       = "ReadTheQueue"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      resources = statement.value
    }
  }
  dynamic "statement" {
    for_each = length(var.read_buckets) == 0 ? [] : [var.read_buckets]
    content {
      sid       = "ReadTheObjects"
      actions   = ["s3:GetObject"]
      resources = [for name in statement.value : "arn:${data.aws_partition.current.partition}:s3:::${name}/*"]
    }
  }
  dynamic "statement" {
    for_each = length(var.read_buckets) == 0 ? [] : [var.read_buckets]
    content {
      sid       = "TellWhichObjectsAreGone"
      actions   = ["s3:ListBucket"]
      resources = [for name in statement.value : "arn:${data.aws_partition.current.partition}:s3:::${name}"]
    }
  }
}

resource "aws_iam_role_policy" "task" {
  name   = "work"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

resource "aws_security_group" "worker" {
  # checkov:skip=CKV2_AWS_5: it is the service's, or the schedule's
  name        = var.name
  description = "No inbound traffic."
  vpc_id      = var.vpc_id
  tags        = { Project = var.name }
}

resource "aws_vpc_security_group_egress_rule" "out" {
  # checkov:skip=CKV_AWS_382: sources may be anywhere; close it with rules of your own
  security_group_id = aws_security_group.worker.id
  description       = "AWS, the database, and sources"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_ecs_task_definition" "worker" {
  # checkov:skip=CKV_AWS_336: every container says readonlyRootFilesystem, in a local value
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(local.containers)
  tags                     = { Project = var.name }

  volume {
    name = "tmp"
  }
}

resource "aws_ecs_service" "worker" {
  count                              = var.mode == "serve" ? 1 : 0
  name                               = var.name
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.worker.arn
  desired_count                      = var.desired_count
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  tags                               = { Project = var.name }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.worker.id]
    assign_public_ip = false
  }
  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}

# -- a task at its times -----------------------------------------------------------------------

data "aws_iam_policy_document" "scheduler_assumes" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "scheduler" {
  count              = var.mode == "cron" ? 1 : 0
  name               = "${var.name}-scheduler"
  assume_role_policy = data.aws_iam_policy_document.scheduler_assumes.json
  tags               = { Project = var.name }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "StartsTheTask"
    actions   = ["ecs:RunTask"]
    resources = [aws_ecs_task_definition.worker.arn]
  }
  statement {
    sid       = "GivesItItsRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.execution.arn, aws_iam_role.task.arn]
  }
}

resource "aws_iam_role_policy" "scheduler" {
  count  = var.mode == "cron" ? 1 : 0
  name   = "start"
  role   = aws_iam_role.scheduler[0].id
  policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_scheduler_schedule" "worker" {
  # checkov:skip=CKV_AWS_297: it holds no secret
  count               = var.mode == "cron" ? 1 : 0
  name                = var.name
  schedule_expression = var.schedule

  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = var.cluster_arn
    role_arn = aws_iam_role.scheduler[0].arn

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.worker.arn
      launch_type         = "FARGATE"

      network_configuration {
        subnets          = var.subnet_ids
        security_groups  = [aws_security_group.worker.id]
        assign_public_ip = false
      }
    }
    retry_policy {
      maximum_retry_attempts = 0 # the next time is the next try
    }
  }
}
