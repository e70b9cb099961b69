variable "functions" {
  description = "The functions, by their names: as lambda/template.yaml has them, unless said otherwise. `image_uri` is that of the first deployment (in the repository of the same name, by digest); later ones are moved by CI."
  type = map(object({
    image_uri            = string
    timeout              = optional(number, 60)
    memory_size          = optional(number, 1769)
    architecture         = optional(string, "x86_64")
    reserved_concurrency = optional(number, -1)
    variables            = optional(map(string), {})
    audio_bucket         = optional(string, "")
  }))

  validation {
    condition     = alltrue([for name in keys(var.functions) : can(regex("^[a-z][a-z0-9-]{1,39}$", name))])
    error_message = "A name has 2 to 40 small letters, digits and hyphens."
  }
  validation {
    condition     = alltrue([for each in values(var.functions) : each.timeout >= 3 && each.timeout <= 900])
    error_message = "A timeout is 3 to 900 seconds."
  }
  validation {
    condition     = alltrue([for each in values(var.functions) : each.memory_size >= 512 && each.memory_size <= 10240])
    error_message = "Memory is 512 to 10240 MB."
  }
  validation {
    condition     = alltrue([for each in values(var.functions) : can(regex("@sha256:[0-9a-f]{64}$", each.image_uri))])
    error_message = "image_uri names an image by its digest: REPOSITORY@sha256:..."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 14
}

variable "log_level" {
  description = "DEBUG, INFO, WARNING or ERROR."
  type        = string
  default     = "INFO"
}

variable "errors_more_than" {
  description = "The errors alarm rings at more errors than that within ten minutes; 0 means any error."
  type        = number
  default     = 5
}

variable "duration_percent" {
  description = "The duration alarm rings above this share of the timeout."
  type        = number
  default     = 83
}

variable "throttled_periods" {
  description = "The throttles alarm rings after so many periods of 5 minutes in a row with throttled calls; 1 means at once."
  type        = number
  default     = 3
}

variable "alarm_actions" {
  description = "ARNs that are told of alarms: of SNS topics, for example."
  type        = list(string)
  default     = []
}

variable "warm_every" {
  description = "Call each function so often that one environment stays warm, for example `rate(5 minutes)`; empty: not."
  type        = string
  default     = ""
}

variable "vpc" {
  description = "Put the functions into these subnets and security groups; null: into none. They call nothing but S3 (transcription)."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
}
