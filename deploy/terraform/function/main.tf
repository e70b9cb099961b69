# The functions: image repository, role, log group, function, alias, and what becomes of asynchronous
# calls. Held against lambda/template.yaml by tests/infrastructure/test_terraform.py.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  arns = {
    for name in keys(var.functions) :
    name => "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:function:${name}"
  }
}

resource "aws_ecr_repository" "images" {
  # checkov:skip=CKV_AWS_136: encrypted by ECR itself (AES-256); code and weights, nobody's data
  for_each             = var.functions
  name                 = each.key
  image_tag_mutability = "IMMUTABLE"
  tags                 = { Project = each.key }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "images" {
  for_each   = var.functions
  repository = aws_ecr_repository.images[each.key].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "what no tag names any more"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "enough to roll back to: what was live"
        selection    = { tagStatus = "tagged", tagPrefixList = ["live-"], countType = "imageCountMoreThan", countNumber = 10 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "and some that never were"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
        action       = { type = "expire" }
      },
    ]
  })
}

data "aws_iam_policy_document" "lambda_pulls" {
  for_each = var.functions
  statement {
    sid     = "LambdaPullsTheImage"
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
    condition {
      test     = "StringLike"
      variable = "aws:sourceArn"
      values   = [local.arns[each.key], "${local.arns[each.key]}:*"]
    }
  }
}

resource "aws_ecr_repository_policy" "images" {
  for_each   = var.functions
  repository = aws_ecr_repository.images[each.key].name
  policy     = data.aws_iam_policy_document.lambda_pulls[each.key].json
}

resource "aws_cloudwatch_log_group" "log" {
  # checkov:skip=CKV_AWS_158: no text is logged; CloudWatch encrypts with keys of its own
  # checkov:skip=CKV_AWS_338: two weeks are enough to find a fault; var.log_retention_days
  for_each          = var.functions
  name              = "/aws/lambda/${each.key}"
  retention_in_days = var.log_retention_days
  tags              = { Project = each.key }
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  for_each           = var.functions
  name               = "${each.key}-function"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = { Project = each.key }
}

data "aws_iam_policy_document" "function" {
  # checkov:skip=CKV_AWS_356: segments of X-Ray, and network interfaces before they exist, have no ARN
  # checkov:skip=CKV_AWS_111: the same
  for_each = var.functions
  statement {
    sid       = "WritesItsLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.log[each.key].arn}:*"]
  }
  statement {
    sid       = "SaysWhatBecameOfAsynchronousCalls"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.success[each.key].arn, aws_sqs_queue.failure[each.key].arn]
  }
  statement {
    sid       = "TracesHaveNoArn"
    actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    resources = ["*"]
  }
  dynamic "statement" {
    for_each = each.value.audio_bucket == "" ? [] : [each.value.audio_bucket]
    content {
      sid       = "ReadsRecordings"
      actions   = ["s3:GetObject"]
      resources = ["arn:${data.aws_partition.current.partition}:s3:::${statement.value}/*"]
    }
  }
  dynamic "statement" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
      sid       = "HasInterfacesInTheVpc"
      actions   = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  for_each = var.functions
  name     = "sentiment"
  role     = aws_iam_role.function[each.key].id
  policy   = data.aws_iam_policy_document.function[each.key].json
}

resource "aws_lambda_function" "function" {
  # checkov:skip=CKV_AWS_115: reserved concurrency is a variable; -1 shares the account's
  # checkov:skip=CKV_AWS_116: failed asynchronous calls go to the on-failure destination, which says more than a dead letter queue
  # checkov:skip=CKV_AWS_117: it calls nothing; a VPC is an option (var.vpc)
  # checkov:skip=CKV_AWS_173: no variable holds a secret; Lambda encrypts them with a key of its own
  # checkov:skip=CKV_AWS_272: code signing knows no images
  for_each                       = var.functions
  function_name                  = each.key
  description                    = "Sentiment of texts; each answer names its model and version."
  package_type                   = "Image"
  image_uri                      = each.value.image_uri
  architectures                  = [each.value.architecture]
  memory_size                    = each.value.memory_size
  timeout                        = each.value.timeout
  role                           = aws_iam_role.function[each.key].arn
  reserved_concurrent_executions = each.value.reserved_concurrency
  publish                        = true
  tags                           = { Project = each.key }

  environment {
    variables = merge(
      { POWERTOOLS_LOG_LEVEL = var.log_level, POWERTOOLS_SERVICE_NAME = each.key },
      each.value.variables,
    )
  }
  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.log[each.key].name
  }
  tracing_config {
    mode = "Active"
  }
  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }
  lifecycle {
    ignore_changes = [image_uri] # CI moves it
  }
  depends_on = [aws_iam_role_policy.function, aws_ecr_repository_policy.images]
}

resource "aws_lambda_alias" "live" {
  for_each         = var.functions
  name             = "live"
  function_name    = aws_lambda_function.function[each.key].function_name
  function_version = aws_lambda_function.function[each.key].version

  lifecycle {
    ignore_changes = [function_version, routing_config, description] # CI moves them
  }
}

resource "aws_sqs_queue" "success" {
  # checkov:skip=CKV_AWS_27: encrypted by SQS itself; a key of KMS costs by the month
  for_each                  = var.functions
  name                      = "${each.key}-on-success"
  message_retention_seconds = 345600
  sqs_managed_sse_enabled   = true
  tags                      = { Project = each.key }
}

resource "aws_sqs_queue" "failure" {
  # checkov:skip=CKV_AWS_27: encrypted by SQS itself; a key of KMS costs by the month
  for_each                  = var.functions
  name                      = "${each.key}-on-failure"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = { Project = each.key }
}

resource "aws_lambda_function_event_invoke_config" "live" {
  for_each                     = var.functions
  function_name                = aws_lambda_alias.live[each.key].function_name
  qualifier                    = aws_lambda_alias.live[each.key].name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_success {
      destination = aws_sqs_queue.success[each.key].arn
    }
    on_failure {
      destination = aws_sqs_queue.failure[each.key].arn
    }
  }
}

data "aws_iam_policy_document" "invoke" {
  for_each = var.functions
  statement {
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_alias.live[each.key].arn]
  }
}

resource "aws_iam_policy" "invoke" {
  for_each    = var.functions
  name        = "${each.key}-invoke"
  description = "For whoever runs the worker."
  policy      = data.aws_iam_policy_document.invoke[each.key].json
}

resource "aws_cloudwatch_event_rule" "warm" {
  for_each            = var.warm_every == "" ? {} : var.functions
  name                = "${each.key}-warm"
  schedule_expression = var.warm_every
}

resource "aws_cloudwatch_event_target" "warm" {
  for_each  = var.warm_every == "" ? {} : var.functions
  rule      = aws_cloudwatch_event_rule.warm[each.key].name
  target_id = "warm"
  arn       = aws_lambda_alias.live[each.key].arn
  input     = jsonencode({ warmup = true })
}

resource "aws_lambda_permission" "warm" {
  for_each      = var.warm_every == "" ? {} : var.functions
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function[each.key].function_name
  qualifier     = aws_lambda_alias.live[each.key].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.warm[each.key].arn
}
