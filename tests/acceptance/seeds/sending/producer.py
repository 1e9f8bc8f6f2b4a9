import asyncio
import os

os.environ["HORSIES_SUPPRESS_SENDS"] = "1"  # the module-level send of instance.py is for the worker's import

import instance
from instance import Address, Order, app, my_task, process, process_order, ship

from horsies import Err, Ok, TaskSendErrorCode, is_err

del os.environ["HORSIES_SUPPRESS_SENDS"]
assert is_err(instance.result)
assert instance.result.err_value.code is TaskSendErrorCode.SEND_SUPPRESSED
arg1, arg2 = "one", "two"

match my_task.send(arg1, arg2, key="value"):
    case Ok(handle):
        print(f"Task submitted: {handle.task_id}")
        print(handle.get(timeout_ms=5000).ok_value)
    case Err(send_err):
        print(f"Send failed: {send_err.code} - {send_err.message}")


async def my_endpoint():
    match await my_task.send_async(arg1, arg2):
        case Ok(handle):
            result = await handle.get_async(timeout_ms=5000)
            print(result.ok_value)
            return {"task_id": handle.task_id}
        case Err(send_err):
            return {"error": send_err.message}


print(sorted(asyncio.run(my_endpoint())))

match my_task.schedule(1, arg1, arg2):
    case Ok(handle):
        print(f"Scheduled: {handle.task_id}")
        print(handle.get(timeout_ms=10000).ok_value)
    case Err(err):
        print(f"Schedule failed: {err.code}")

# Send without waiting for result -- discard the TaskSendResult
my_task.send(arg1, arg2)

match process.send(data={"key": "value", "nested": {"a": 1}}, items=[1, 2, 3]):
    case Ok(handle):
        print(handle.get().ok_value)
    case Err(err):
        print(f"Send failed: {err.code}")

# Pydantic models - pass the instance to preserve type metadata
order = Order(id=123, items=["a", "b"])
match process_order.send(order=order):
    case Ok(handle):
        print(handle.get().ok_value)
    case Err(err):
        print(f"Send failed: {err.code}")

match ship.send(Address("Main St")):
    case Ok(handle):
        print(handle.get().ok_value)
    case Err(err):
        print(f"Send failed: {err.code}")

# Runs immediately in current process
print(my_task("arg1", "arg2").ok_value)

# Wrong
refused = my_task.send(object(), "b")
assert is_err(refused)
print(refused.err_value.code)

# Retrying failed sends: only ENQUEUE_FAILED is accepted
match my_task.send(arg1, arg2):
    case Ok(handle):
        result = handle.get()
    case Err(err) if err.retryable:
        match my_task.retry_send(err):
            case Ok(handle):
                result = handle.get()
            case Err(retry_err):
                print(f"Retry failed: {retry_err.code}")
    case Err(err):
        print(f"Permanent failure: {err.code}")
print(my_task.retry_send(refused.err_value).err_value.code)
info = handle.info(include_result=True).unwrap()
assert info is not None
print(info.status, info.queue_name, info.decoded_result.ok_value)
app.get_broker().close()
