output "alias_arns" {
  description = "What LAMBDA_FUNCTION_NAME is, by the functions' names."
  value       = { for name, alias in aws_lambda_alias.live : name => alias.arn }
}

output "invoke_policy_arns" {
  description = "Policies for whoever calls: lambda:InvokeFunction on one alias each."
  value       = { for name, policy in aws_iam_policy.invoke : name => policy.arn }
}

output "repository_urls" {
  description = "Where CI pushes the images."
  value       = { for name, repository in aws_ecr_repository.images : name => repository.repository_url }
}
