# Of a worker that stays. What it does is watched by its own metrics (deploy/watching); this one rings
# when it is not there at all.
resource "aws_cloudwatch_metric_alarm" "down" {
  count               = var.mode == "serve" ? 1 : 0
  alarm_name          = "${var.name}-down"
  alarm_description   = "No worker runs. See SentimentWorkerDown in docs/operations.md."
  namespace           = "AWS/ECS"
  metric_name         = "CPUUtilization"
  dimensions          = { ClusterName = split("/", var.cluster_arn)[1], ServiceName = var.name }
  statistic           = "SampleCount"
  period              = 300
  evaluation_periods  = 2
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
}
