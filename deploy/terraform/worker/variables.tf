variable "name" {
  description = "The worker's: of its service, roles and log group."
  type        = string
  default     = "sentiment-worker"
}

variable "mode" {
  description = "`serve`: a worker that stays (an ECS service). `cron`: a task at each of `schedule`'s times."
  type        = string
  default     = "serve"

  validation {
    condition     = contains(["serve", "cron"], var.mode)
    error_message = "mode is serve or cron."
  }
}

variable "schedule" {
  description = "Of `cron`: an expression of EventBridge Scheduler, in UTC."
  type        = string
  default     = "rate(15 minutes)"
}

variable "image" {
  description = "The worker's image, by digest or tag."
  type        = string
}

variable "image_repository_arn" {
  description = "The ECR repository that holds it; empty: the image needs no login."
  type        = string
  default     = ""
}

variable "config" {
  description = "sentiment-worker.toml: `file(\"sentiment-worker.toml\")`. It holds no secret, and is at most 8 KB."
  type        = string

  validation {
    condition     = strcontains(var.config, "[[source]]") && length(var.config) <= 8192
    error_message = "config needs a [[source]], and has at most 8,192 characters."
  }
}

variable "settings" {
  description = "Other settings of docs/operations.md, by their variables' names; no secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.settings), ["DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "SENTIMENT_DASHBOARD_TOKEN", "SENTIMENT_REVIEWER_TOKEN"])) == 0
    error_message = "Secrets are no settings: they would stand in the task's definition."
  }
}

variable "database_secret_arn" {
  description = "The secret (Secrets Manager) whose whole value is DATABASE_URL."
  type        = string
}

variable "function_arn" {
  description = "The ARN of the function's alias."
  type        = string

  validation {
    condition     = can(regex(":function:[^:]+:[^:]+$", var.function_arn))
    error_message = "function_arn names an alias: ...:function:NAME:live."
  }
}

variable "function_timeout" {
  description = "The function's timeout in seconds."
  type        = number
  default     = 60
}

variable "transcription_arn" {
  description = "The ARN of the transcription function's alias, for sources of audio; empty: none."
  type        = string
  default     = ""
}

variable "read_buckets" {
  description = "Names of the buckets that sources read."
  type        = list(string)
  default     = []
}

variable "read_queue_arns" {
  description = "ARNs of the queues that sources of kind sqs read."
  type        = list(string)
  default     = []
}

variable "cluster_arn" {
  description = "The ECS cluster that it runs in."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets with a way to AWS's endpoints and to the database."
  type        = list(string)
}

variable "vpc_id" {
  description = "The VPC of the subnets."
  type        = string
}

variable "desired_count" {
  description = "Of `serve`: workers. A source is read by one at a time; the others take over."
  type        = number
  default     = 1
}

variable "cpu" {
  description = "Of a task: 256 is a quarter of a vCPU."
  type        = number
  default     = 256
}

variable "memory" {
  description = "Of a task, in MB."
  type        = number
  default     = 512
}

variable "grace_seconds" {
  description = "For calls under way at a stop. ECS kills the task ten seconds later; Fargate allows 120 in all."
  type        = number
  default     = 25

  validation {
    condition     = var.grace_seconds >= 1 && var.grace_seconds <= 110
    error_message = "grace_seconds is 1 to 110."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 14
}

variable "alarm_actions" {
  description = "ARNs that are told of alarms."
  type        = list(string)
  default     = []
}
