"""S3 and SQS by moto's server: real HTTP, real boto3, notices of a bucket in a queue."""

from __future__ import annotations

import http.client
import json
from typing import Self

import boto3
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


class Cloud:
    """A bucket `drop`, whose notices go to the queue `notices`, and a queue for `records`: with a
    dead-letter queue after three receives."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        url = f"http://{host}:{port}"
        connection = http.client.HTTPConnection(host, port, timeout=30)
        connection.request("POST", "/moto-api/reset")  # its state is the process's
        assert connection.getresponse().status == 200
        connection.close()
        self.variables = {
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ENDPOINT_URL_SQS": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        session = boto3.Session(
            region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.s3 = session.client("s3", endpoint_url=url)
        self.sqs = session.client("sqs", endpoint_url=url)
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        policy = {"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": "3"}
        self.queue, self.records = (
            self.sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(policy)})[
                "QueueUrl"
            ]
            for name in ("notices", "records")
        )
        self.s3.create_bucket(
            Bucket="drop", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        told = {"QueueArn": self.arn(self.queue), "Events": ["s3:ObjectCreated:*",
                                                             "s3:ObjectRemoved:*"]}  # fmt: skip
        self.s3.put_bucket_notification_configuration(
            Bucket="drop", NotificationConfiguration={"QueueConfigurations": [told]}
        )

    def arn(self, queue: str) -> str:
        asked = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(asked["Attributes"]["QueueArn"])

    def put(self, key: str, *rows: tuple[object, str]) -> None:
        body = "id,text\n" + "".join(f"{id_},{text}\n" for id_, text in rows)
        self.s3.put_object(Bucket="drop", Key=key, Body=body.encode())

    def send(self, body: object, queue: str | None = None) -> None:
        said = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=queue or self.queue, MessageBody=said)

    def left(self, queue: str | None = None) -> int:
        """Messages that are in a queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = self.sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)
        return sum(int(asked["Attributes"][name]) for name in names)

    def visible(self) -> int:
        """Messages that anybody could receive now."""
        names = ["ApproximateNumberOfMessages"]
        asked = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)
        return int(asked["Attributes"][names[0]])

    def wake(self) -> None:
        """What was received and not deleted comes again now, and not when its time is over."""
        for queue in get_backend("sqs")["123456789012"][REGION].queues.values():
            for message in queue._messages:
                message.visible_at = 0

    def is_empty(self) -> bool:
        """Is nothing left? What is left comes again now."""
        self.wake()
        return self.left() == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.s3.close()
        self.sqs.close()
        self._server.stop()
