# Both functions, and a worker that stays, in a VPC that is there.
provider "aws" {
  region = "eu-central-1"
}

module "functions" {
  source = "../../function"

  functions = {
    sentiment-analysis = {
      image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/sentiment-analysis@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    }
    transcription = {
      image_uri            = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/transcription@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      timeout              = 900
      memory_size          = 10240
      reserved_concurrency = 10
      audio_bucket         = "my-bucket"
    }
  }
  errors_more_than  = 0 # any error
  throttled_periods = 1 # any throttle
  alarm_actions     = [aws_sns_topic.alarms.arn]
}

resource "aws_sns_topic" "alarms" {
  name              = "sentiment-alarms"
  kms_master_key_id = "alias/aws/sns"
}

module "worker" {
  source = "../../worker"

  image                = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/sentiment-worker:0.1.0"
  image_repository_arn = "arn:aws:ecr:eu-central-1:123456789012:repository/sentiment-worker"
  config               = file("${path.module}/sentiment-worker.toml")
  database_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:sentiment-database-AbCdEf"
  function_arn         = module.functions.alias_arns["sentiment-analysis"]
  transcription_arn    = module.functions.alias_arns["transcription"]
  read_buckets         = ["my-bucket"]
  cluster_arn          = "arn:aws:ecs:eu-central-1:123456789012:cluster/services"
  subnet_ids           = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  vpc_id               = "vpc-0123456789abcdef0"
  alarm_actions        = [aws_sns_topic.alarms.arn]
}
