import asyncio

from instance import add_numbers

from horsies import Err, Ok


async def my_endpoint():
    match await add_numbers.send_async(10, 20):
        case Ok(handle):
            result = await handle.get_async(timeout_ms=10000)
            return {"result": result.ok_value if result.is_ok() else None}
        case Err(send_err):
            return {"error": send_err.message}


print(asyncio.run(my_endpoint()))
