output "task_role_name" {
  description = "To attach more policies to it: the ones in deploy/iam."
  value       = aws_iam_role.task.name
}

output "security_group_id" {
  description = "Let it reach your database."
  value       = aws_security_group.worker.id
}

output "log_group_name" {
  description = "Where its log is."
  value       = aws_cloudwatch_log_group.log.name
}
